"""Load: wrk and its scripts, and clients in Python."""
