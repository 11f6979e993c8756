"""A lab file becomes running nodes, real routers, machines and a capture."""
