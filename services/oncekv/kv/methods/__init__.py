"""The key/value methods (9): one file each, found by its place in this folder; no other file names it."""
