"""The control node: BGP, Contrail's XMPP, routing, and the channels that join them."""
