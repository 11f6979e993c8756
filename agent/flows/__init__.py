"""Flows: what a trapped packet turns into."""
