"""The key/value service: what its calls mean, and how a client makes them. Nothing below knows a key or a value."""
