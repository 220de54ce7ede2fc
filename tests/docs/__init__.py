"""The documents, run: every command of the tour on real processes, and what it says held against the page."""
