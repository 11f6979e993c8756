"""Real BGP routers that a lab starts, configures and stops: ExaBGP, BIRD, FRR, GoBGP, OpenBGPD."""
