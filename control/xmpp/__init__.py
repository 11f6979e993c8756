"""Contrail's XMPP dialect: framing, stanzas, state machine, server and client session. Knows nothing of BGP."""
