"""The engine: many calls in one transaction, each through the dedup gate, each effect with its record."""
