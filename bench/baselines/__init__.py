"""What OnceKV is held against: each does the same durable write as well as it can be done that way."""
