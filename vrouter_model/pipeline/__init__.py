"""The stages a packet passes, one module each (reference/vrouter.md 7)."""
