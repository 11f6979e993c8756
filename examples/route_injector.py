"""Announces routes to a BGP peer, and withdraws them on Ctrl-C: route_injector.py [OPTIONS] PEER [FILE]

A line of FILE or standard input: 203.0.113.0/24 next-hop 10.255.1.1 rd 65001:1 label 1000 target:64512:100
"""

import argparse
import fileinput
import sys
from typing import Any

from contrail_emulator.control.bgp import CloseReason, NullHandler, Peer, Speaker, single
from contrail_emulator.control.bgp.outbound import announce, withdraw
from contrail_emulator.control.bgp.route_text import Announcement, read


class Injector(NullHandler):
    """Sends every route when the session comes up, as fast as the peer reads."""

    def __init__(self, routes: list[Announcement]) -> None:
        self.routes = routes

    def established(self, peer: Peer) -> None:
        print(f"session with {peer.name} is up", file=sys.stderr)
        self.unsent = announce(peer, self.routes)
        self.unblocked(peer)

    def unblocked(self, peer: Peer) -> None:
        all(map(peer.send, self.unsent))  # stops at the first False, when the peer does not read for now

    def closed(self, peer: Peer, reason: CloseReason) -> None:
        print(f"session with {peer.name} ended: {reason.text}", file=sys.stderr)

    def leave(self, speaker: Speaker) -> Any:
        for peer in speaker.peers.values():
            all(map(peer.send, withdraw(peer, self.routes)))
        return speaker.stop()


def main(reactor: Any) -> None:
    parser = argparse.ArgumentParser(description=__doc__, usage=argparse.SUPPRESS)
    single.add_options(parser)
    parser.add_argument("file", metavar="FILE", nargs="?", default="-", help="routes, one a line (standard input)")
    options = parser.parse_args()
    try:
        with fileinput.input(options.file, encoding="utf-8") as lines:
            injector = Injector(list(read(lines)) or parser.error(f"no routes in {options.file}"))
        speaker = single.start(reactor, options, injector, {route.family for route in injector.routes})
    except UnicodeDecodeError:
        parser.error(f"{options.file}: expected UTF-8 text")
    except (OSError, ValueError) as wrong:
        parser.error(str(wrong))
    reactor.addSystemEventTrigger("before", "shutdown", injector.leave, speaker)
    reactor.run()


if __name__ == "__main__":
    from twisted.internet import reactor  # a program chooses its reactor, a library never does

    main(reactor)
