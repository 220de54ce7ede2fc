"""Mixes: what the clients of a scenario call; one file each."""
