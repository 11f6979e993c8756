"""The DNS front end: views and zones from configuration, records from agents, a resolver."""
