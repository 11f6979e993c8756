"""Operational tables: pure functions of configuration, ports and received routes."""
