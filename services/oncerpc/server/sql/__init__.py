"""The user's own database by SQLAlchemy: effect and dedup record in one of its transactions, on SQLite or PostgreSQL."""
