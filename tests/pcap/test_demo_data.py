"""What machines said in the demo's capture: pings in MPLS over UDP, and a name asked for and answered."""

from __future__ import annotations

from pcap.conftest import DemoRun
from pcap.evidence import Tshark

TUNNEL_PORT = "6635"
BOTTOM = "1"


def test_the_ping_and_its_answer(demo: DemoRun, tshark: Tshark) -> None:
    """Both in the network's label, alone in the stack, between the bound addresses; tshark itself pairs them."""
    one, two = (str(agent.bind) for agent in demo.file.agents)
    names = ("ip.src", "ip.dst", "udp.dstport", "mpls.label", "mpls.bottom", "icmp.type", "frame.number")
    rows = tshark.fields(demo.path, "icmp && ip.addr == 10.1.0.4", *names, "icmp.resp_to")
    (request, reply) = rows
    assert request[:6] == ([one, "10.1.0.3"], [two, "10.1.0.4"], [TUNNEL_PORT], ["16"], [BOTTOM], ["8"])
    assert reply[:6] == ([two, "10.1.0.4"], [one, "10.1.0.3"], [TUNNEL_PORT], ["16"], [BOTTOM], ["0"])
    assert reply[7] == request[6] and request[7] == [], "the reply answers the request"
    (((port,),),) = tshark.fields(demo.path, "icmp.type == 8 && ip.dst == 10.1.0.4", "udp.srcport")
    assert 49152 <= int(port) <= 65535, "the source port carries the flow's entropy (RFC 7510)"


def test_the_packet_towards_the_gateway(demo: DemoRun, tshark: Tshark) -> None:
    names = ("ip.src", "ip.dst", "udp.dstport", "mpls.label", "mpls.bottom", "mpls.ttl", "icmp.type")
    (packet,) = tshark.fields(demo.path, "ip.dst == 203.0.113.5", *names)
    bound, gateway = str(demo.file.agents[0].bind), str(demo.file.bgp_peers[0].address)
    assert packet == ([bound, "10.1.0.3"], [gateway, "203.0.113.5"], [TUNNEL_PORT], ["1000"], [BOTTOM], ["63"], ["8"])


def test_nothing_else_was_tunnelled(demo: DemoRun, tshark: Tshark) -> None:
    """The ping to another network was dropped by the first vRouter: it is on no wire."""
    assert len(tshark.run(demo.path, "-Y", "mpls").splitlines()) == 3
    assert tshark.run(demo.path, "-Y", "ip.addr == 10.2.0.3") == ""


def test_the_name_is_asked_for_and_answered(demo: DemoRun, tshark: Tshark) -> None:
    """The agent adds a TXT record that names the view (reference/dns.md 5.2); the answer is the server's own."""
    assert demo.file.dns is not None
    server, agent = str(demo.file.dns.address), str(demo.file.agents[0].bind)
    names = ("ip.src", "ip.dst", "dns.id", "dns.qry.name", "dns.qry.type", "dns.txt", "dns.count.add_rr")
    (question,) = tshark.fields(demo.path, "dns.flags.response == 0", *names)
    assert question[:2] == ([agent], [server])
    assert question[3:5] == (["vm2.lab.example"], ["1"])
    assert question[5:] == (["view=default-domain-lab-dns"], ["1"])
    told = ("ip.src", "dns.id", "dns.flags.rcode", "dns.flags.authoritative", "dns.a", "dns.count.answers")
    (answer,) = tshark.fields(demo.path, "dns.flags.response == 1 && dns.response_to", *told)
    assert answer == ([server], question[2], ["0"], ["1"], ["10.1.0.4"], ["1"])
