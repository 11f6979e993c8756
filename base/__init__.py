"""What every daemon shares: conf files, server lists, introspect, logging, metrics, capture, behaviour profiles."""
