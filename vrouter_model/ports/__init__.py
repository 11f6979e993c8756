"""Where frames come from and go to: memory, UDP sockets, TAP devices, capture files."""
