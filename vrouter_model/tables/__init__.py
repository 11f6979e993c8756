"""What the data path looks up: interfaces, next hops, routes, labels and flows as live objects."""
