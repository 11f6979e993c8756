"""A speaker with one peer, set up from the options of a command line: for small programs on top of the library."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from random import Random
from typing import Any

from twisted.python.failure import Failure

from contrail_emulator.base.behaviour import RFC, Behaviour

from .family import Family
from .handler import Handler
from .settings import PeerSettings, SpeakerSettings
from .speaker import Speaker


def add_options(parser: ArgumentParser) -> None:
    """PEER and the options that `start` wants."""
    parser.add_argument("peer", metavar="PEER", help="address of the peer")
    parser.add_argument("--port", type=int, default=179, help="where the peer listens (179)")
    parser.add_argument("--listen", type=int, metavar="PORT", help="do not connect, let the peer connect to this port")
    parser.add_argument("--source", metavar="ADDRESS", default="0.0.0.0", help="our address (the system's choice)")
    parser.add_argument("--local-as", type=int, metavar="AS", default=64512, help="our autonomous system (64512)")
    parser.add_argument("--peer-as", type=int, metavar="AS", help="the peer's (ours)")
    parser.add_argument("--router-id", metavar="ADDRESS", default="10.255.0.1", help="our identifier (10.255.0.1)")
    parser.add_argument("--hold-time", type=int, metavar="SECONDS", default=90, help="offered (90)")


def start(
    reactor: Any, options: Namespace, handler: Handler, families: Iterable[Family], behaviour: Behaviour = RFC
) -> Speaker:
    """The speaker, connecting or listening. Its one peer is called what the options call it, its address.

    Raises ValueError for options that make no sense and for a port that cannot be had.
    """
    passive = options.listen is not None
    speaker = Speaker(
        reactor,
        SpeakerSettings(
            autonomous_system=options.local_as,
            router_id=options.router_id,
            address=options.source,
            port=options.listen or 0,
            hold_time=options.hold_time,
        ),
        handler,
        behaviour=behaviour,
        rng=Random(),
    )
    peer = PeerSettings(
        name=options.peer,
        address=options.peer,
        port=options.port,
        autonomous_system=options.peer_as or options.local_as,
        families=tuple(families),
        passive=passive,
    )
    if passive:
        failures: list[Failure] = []
        speaker.listen().addErrback(failures.append)
        if failures:
            raise ValueError(failures[0].getErrorMessage())
    speaker.add_peer(peer)
    return speaker
