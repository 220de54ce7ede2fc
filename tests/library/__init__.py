"""The library's contract: retry-safe methods and views, on SQLite and on a real PostgreSQL."""
