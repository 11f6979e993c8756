"""Where sessions meet tables: BGP peers, agents, and the translation of an XMPP item into a path and back."""
