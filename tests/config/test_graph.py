"""The graph: nodes, links, attribute nodes, batches."""

from contrail_emulator.config.graph import Changes, Graph, Link, Node, Origin, attribute_node_name

VN, RI = ("virtual-network", "d:p:blue"), ("routing-instance", "d:p:blue:blue")
VMI = ("virtual-machine-interface", "d:p:port")
VMI_RI = "virtual-machine-interface-routing-instance"


def graph_with_log() -> tuple[Graph, list[Changes]]:
    graph, log = Graph(), list[Changes]()
    graph.subscribe(log.append)
    return graph, log


def must(graph: Graph, key: tuple[str, str]) -> Node:
    node = graph.get(*key)
    assert node is not None
    return node


def test_a_node_comes_changes_and_goes() -> None:
    graph, log = graph_with_log()
    node = graph.put(*VN, {"a": 1})
    graph.put(*VN, {"a": 1})
    graph.put(*VN, {"a": 2, "b": 3})
    assert graph.remove(*VN)
    assert not graph.remove(*VN)
    assert [dict(changes.updated) for changes in log] == [
        {node: frozenset({"a"})},
        {node: frozenset({"a", "b"})},
        {},
    ]
    assert log[-1].deleted == (node,)
    assert len(graph) == 0 and graph.types() == ()


def test_a_batch_tells_the_net_result_once() -> None:
    graph, log = graph_with_log()
    with graph.batch():
        graph.put(*VN, {})
        graph.link("virtual-network-routing-instance", VN, RI)
        graph.unlink("virtual-network-routing-instance", VN, RI)
        graph.put(*VMI, {})
        graph.remove(*VMI)
    assert len(log) == 1
    assert list(log[0].updated) == [graph.get(*VN)]
    assert not log[0].linked and not log[0].unlinked and not log[0].deleted
    assert graph.get(*RI) is None, "an end that nothing names any more is forgotten"


def test_an_end_that_is_only_named_is_not_present() -> None:
    graph, _ = graph_with_log()
    graph.put(*VN, {"a": 1})
    graph.link("virtual-network-routing-instance", VN, RI)
    instance = must(graph, RI)
    assert not instance.present
    graph.put(*RI, {})
    assert instance.present and graph.get(*RI) is instance
    graph.remove(*RI)
    assert graph.get(*RI) is instance and not instance.present
    graph.unlink("virtual-network-routing-instance", RI, VN)
    assert graph.get(*RI) is None


def test_a_plain_link_goes_though_nodes_of_other_types_with_these_names_have_an_attribute() -> None:
    graph, _ = graph_with_log()
    group, policy = ("security-group", RI[1]), ("network-policy", VMI[1])
    graph.link(VMI_RI, policy, group, {"direction": "both"})
    graph.link(VMI_RI, VMI, RI)
    assert graph.unlink(VMI_RI, VMI, RI)
    assert graph.get(*VMI) is None and graph.get(*RI) is None
    assert graph.attribute(VMI_RI, must(graph, policy), must(graph, group)) == {"direction": "both"}
    assert graph.unlink(VMI_RI, policy, group) and not graph.unlink(VMI_RI, policy, group)
    assert len(graph) == 0


def test_a_link_with_an_attribute_is_a_node_and_two_links() -> None:
    graph, log = graph_with_log()
    graph.put(*VMI, {})
    graph.put(*RI, {})
    graph.link(VMI_RI, VMI, RI, {"direction": "both"})
    name = "attr(d:p:blue:blue,d:p:port)"
    assert attribute_node_name(VMI[1], RI[1]) == name
    middle = must(graph, (VMI_RI, name))
    assert middle.properties == {"value": {"direction": "both"}}
    assert set(middle.neighbours()) == {must(graph, VMI), must(graph, RI)}
    assert must(graph, VMI).neighbours("routing-instance") == []
    assert must(graph, VMI).neighbours(via=VMI_RI) == [middle]
    assert graph.attribute(VMI_RI, must(graph, RI), must(graph, VMI)) == {"direction": "both"}
    graph.link(VMI_RI, VMI, RI, {"direction": "ingress"})
    assert log[-1].updated == {middle: frozenset({"value"})} and not log[-1].linked
    assert graph.unlink(VMI_RI, VMI, RI)
    assert graph.get(VMI_RI, name) is None and middle in log[-1].deleted
    assert len(log[-1].unlinked) == 2 and must(graph, VMI).degree() == 0


def test_a_link_lives_while_one_origin_says_so() -> None:
    graph, log = graph_with_log()
    link = "virtual-router-virtual-machine"
    router, machine = ("virtual-router", "g:r"), ("virtual-machine", "m")
    graph.link(link, router, machine)
    graph.link(link, machine, router, origin=Origin.XMPP)
    found = graph.find_link(link, must(graph, router), must(graph, machine))
    assert isinstance(found, Link) and found.origin == Origin.CONFIG | Origin.XMPP
    assert not graph.unlink(link, router, ("virtual-machine", "other"))
    graph.unlink(link, router, machine)
    assert graph.find_link(link, must(graph, router), must(graph, machine)) is found
    graph.unlink(link, router, machine, origin=Origin.XMPP)
    assert graph.get(*router) is None and graph.get(*machine) is None
    assert len(log) == 2


def test_subscribers_may_change_the_graph_and_are_told_after() -> None:
    graph = Graph()
    log: list[tuple[str, ...]] = []

    def follow(changes: Changes) -> None:
        log.append(tuple(node.name for node in changes.updated))
        if graph.get(*VN) and not graph.get(*RI):
            graph.put(*RI, {})

    end = graph.subscribe(follow)
    graph.put(*VN, {})
    assert log == [("d:p:blue",), ("d:p:blue:blue",)]
    end()
    graph.put(*VMI, {})
    assert len(log) == 2


def test_touched_has_the_ends_of_changed_links() -> None:
    graph, log = graph_with_log()
    graph.put(*VN, {})
    graph.put(*RI, {})
    graph.link("virtual-network-routing-instance", VN, RI)
    assert set(log[-1].touched()) == {graph.get(*VN), graph.get(*RI)} and not log[-1].updated


def test_a_self_link_is_one_link() -> None:
    graph, _ = graph_with_log()
    graph.link("tag-tag", ("tag", "a"), ("tag", "a"))
    assert must(graph, ("tag", "a")).degree() == 1
    graph.unlink("tag-tag", ("tag", "a"), ("tag", "a"))
    assert len(graph) == 0


def test_a_hundred_thousand_nodes_leave_nothing_behind() -> None:
    graph = Graph()
    with graph.batch():
        graph.put(*VN, {})
        for number in range(20_000):
            port = ("virtual-machine-interface", f"d:p:{number}")
            graph.put(*port, {})
            graph.link("virtual-machine-interface-virtual-network", port, VN)
    assert must(graph, VN).degree() == 20_000
    with graph.batch():
        for number in reversed(range(20_000)):
            port = ("virtual-machine-interface", f"d:p:{number}")
            graph.unlink("virtual-machine-interface-virtual-network", port, VN)
            graph.remove(*port)
    assert len(graph) == 1 and must(graph, VN).degree() == 0 and must(graph, VN).link_names() == ()


def test_clear_forgets_all() -> None:
    graph, log = graph_with_log()
    graph.put(*VN, {})
    graph.link(VMI_RI, VMI, RI, {"direction": "both"})
    graph.link("virtual-network-routing-instance", VN, RI)
    graph.clear()
    assert len(graph) == 0 and log[-1].deleted
