"""The vRouter agent stand-in: channels, operational tables, services, port API and the one door to a data plane."""
