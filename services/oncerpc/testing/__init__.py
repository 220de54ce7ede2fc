"""Proving in a test that a view or method is retry-safe."""
