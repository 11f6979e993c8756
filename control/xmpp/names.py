"""Names of Contrail's XMPP dialect: who is who, and the keywords of dispatch (reference/xmpp.md 1.1)."""

from typing import Final

CONTROL_NODE_JID: Final = "network-control@contrailsystems.com"
DNS_JID: Final = "network-dns@contrailsystems.com"

BGP_PEER: Final = "bgp-peer"
"""Keyword in `to` of subscriptions and routes."""
CONFIG: Final = "config"
"""Keyword in `to` of configuration and its subscriptions."""
DNS_PEER: Final = "dns-peer"
"""Keyword in `to` of DNS records."""

CONTROL_PORT: Final = 5269
DNS_PORT: Final = 8093

PUBSUB_NAMESPACE: Final = "http://jabber.org/protocol/pubsub"
STREAM_NAMESPACE: Final = "http://etherx.jabber.org/streams"
TLS_NAMESPACE: Final = "urn:ietf:params:xml:ns:xmpp-tls"

MASTER_INSTANCE: Final = "default-domain:default-project:ip-fabric:__default__"
VIRTUAL_ROUTER_PARENT: Final = "default-global-system-config"


def virtual_router_name(agent_name: str) -> str:
    """The fully qualified name of an agent's virtual router, colons between its parts."""
    return f"{VIRTUAL_ROUTER_PARENT}:{agent_name}"
