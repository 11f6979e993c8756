"""Two of our own speakers over memory transports on a virtual clock."""

from __future__ import annotations

from control.bgp.session.memory import MemoryNetwork
from control.bgp.session.pair import Node, join


def test_session_comes_up_and_goes_down() -> None:
    network = MemoryNetwork()
    left, right = Node(network, 1), Node(network, 2)
    join(network, left, right)
    assert left.recorder.told == ["established to-127.0.1.2"]
    assert right.recorder.told == ["established to-127.0.1.1"]
    stopped = left.speaker.stop()
    network.run(0.1)
    assert stopped.called
    assert right.recorder.told[-1] == "closed to-127.0.1.1"
    assert right.recorder.reasons[-1].text == "received 6/2 cease: administrative shutdown"
    assert network.live == []
