"""Tables, paths, best path, routing instances, replication and update groups. Knows no session."""
