"""The processes of a server: start, workers, the one that commits, the end."""
