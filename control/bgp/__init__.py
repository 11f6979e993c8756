"""BGP-4: wire types, state machine, session. Knows nothing of XMPP, routing tables or configuration."""
