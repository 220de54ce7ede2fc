"""The user's own database, SQLite or PostgreSQL: effect and dedup record in one of its transactions."""
