"""Prints what a BGP peer announces, one line a route, as it changes: looking_glass.py [OPTIONS] PEER

SIGUSR1 prints the whole table.
"""

import argparse
import signal
from typing import Any

from contrail_emulator.control.bgp import CloseReason, Family, NullHandler, Peer, Received, single
from contrail_emulator.control.bgp.route_text import key_text, text


class LookingGlass(NullHandler):
    """The table holds each route as its line of text."""

    def __init__(self) -> None:
        self.table: dict[tuple[Family, bytes], str] = {}

    def received(self, peer: Peer, update: Received) -> None:
        for gone in update.unreach:
            for key in gone.keys:
                if self.table.pop((gone.family, key), None):
                    print("-", key_text(gone.family, key), flush=True)
        for reach in update.reach:
            for route in reach.routes:
                line = self.table[reach.family, route[0]] = text(reach.family, reach.attributes, route)
                print("+", line, flush=True)

    def end_of_rib(self, peer: Peer, family: Family, assumed: bool) -> None:
        print(f"# that was all of {family.config_name}", flush=True)

    def closed(self, peer: Peer, reason: CloseReason) -> None:
        print(f"# {len(self.table)} routes are gone: {reason.text}", flush=True)
        self.table.clear()

    def show(self) -> None:
        print(f"# {len(self.table)} routes", *sorted(self.table.values()), sep="\n", flush=True)


def main(reactor: Any) -> None:
    parser = argparse.ArgumentParser(description=__doc__, usage=argparse.SUPPRESS)
    single.add_options(parser)
    glass = LookingGlass()
    try:
        speaker = single.start(reactor, parser.parse_args(), glass, Family)
    except ValueError as wrong:
        parser.error(str(wrong))
    signal.signal(signal.SIGUSR1, lambda *_: reactor.callFromThread(glass.show))
    reactor.addSystemEventTrigger("before", "shutdown", speaker.stop)
    reactor.run()


if __name__ == "__main__":
    from twisted.internet import reactor  # a program chooses its reactor, a library never does

    main(reactor)
