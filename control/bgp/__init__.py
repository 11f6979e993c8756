"""BGP-4: wire types, state machine, session. Knows nothing of XMPP, routing tables or configuration.

Alone it is a library: docs/bgp-library.md.
"""

from .attributes import AsPath, Attributes
from .close_reason import CloseReason
from .family import Family
from .handler import Handler, NullHandler
from .neighbour import Peer
from .nlri import Route
from .settings import GracefulRestartSettings, PeerSettings, SpeakerSettings
from .speaker import Speaker
from .update import Received

__all__ = [
    "AsPath",
    "Attributes",
    "CloseReason",
    "Family",
    "GracefulRestartSettings",
    "Handler",
    "NullHandler",
    "Peer",
    "PeerSettings",
    "Received",
    "Route",
    "Speaker",
    "SpeakerSettings",
]
