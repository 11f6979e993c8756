"""The configuration node: schema, store, bus, ids and locks, writer, client, graph, transformer."""
