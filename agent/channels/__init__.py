"""Sessions to control nodes and name servers: what is said on them, and what is believed of what comes back."""
