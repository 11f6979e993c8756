"""The userspace forwarding model: tables, pipeline, encapsulation, flows and ports."""
