"""Attempt after attempt until a call is settled: the loop, and the pure decisions behind it."""
