"""Contrail's XMPP dialect: framing, stanzas, state machine, server and client session. Knows nothing of BGP.

The codec is in its modules: `pubsub`, `items`, `item_rules`, `item_id`, `config_message`, `dns_message`.
"""

from .client import ClientHandler, ClientSettings, XmppClient
from .server import ServerSettings, XmppServer
from .session import Handler, Session
from .stanza import Stanza
from .tls import TlsSettings

__all__ = [
    "ClientHandler",
    "ClientSettings",
    "Handler",
    "ServerSettings",
    "Session",
    "Stanza",
    "TlsSettings",
    "XmppClient",
    "XmppServer",
]
