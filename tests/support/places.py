"""A database of one test's own, SQLite or PostgreSQL, for what is the same on both."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from flask import Flask
from sqlalchemy import Engine, create_engine, text

from oncerpc.flask import OnceRPC
from tests.support.postgres import Postgres

__all__ = ["DATABASES", "Place"]

DATABASES = ("sqlite", "postgresql")


@dataclass
class Place:
    """An empty database with one table, `note`, for what handlers write."""

    url: str
    postgres: Postgres | None = None
    engines: list[Engine] = field(default_factory=list)

    @property
    def kind(self) -> str:
        return "sqlite" if self.postgres is None else "postgresql"

    def engine(self, **options: Any) -> Engine:
        """An engine, disposed of at the end."""
        self.engines.append(create_engine(self.url, **options))
        return self.engines[-1]

    def app(self, engine: Engine | None = None, **options: Any) -> tuple[Flask, OnceRPC]:
        """A Flask application with the extension on it."""
        app = Flask("shop")
        return app, OnceRPC(app, engine or self.engine(), **options)

    def make_note(self) -> None:
        """The table."""
        number = "INTEGER PRIMARY KEY" if self.postgres is None else "BIGSERIAL PRIMARY KEY"
        self.run(f"CREATE TABLE note (number {number}, text VARCHAR(200) NOT NULL, at DOUBLE PRECISION)")

    def run(self, statement: str, **params: Any) -> list[Any]:
        """One statement, committed; its rows."""
        engine = create_engine(self.url)
        try:
            with engine.begin() as connection:
                found = connection.execute(text(statement), params)
                return list(found) if found.returns_rows else []
        finally:
            engine.dispose()

    @property
    def notes(self) -> list[str]:
        """What handlers wrote and was committed, in order."""
        return [row[0] for row in self.run("SELECT text FROM note ORDER BY number")]

    def close(self) -> None:
        for engine in self.engines:
            engine.dispose()


def write(tx: Any, word: str) -> dict[str, Any]:
    """A handler's effect; its result, which is empty."""
    tx.execute(text("INSERT INTO note (text, at) VALUES (:text, :at)"), {"text": word, "at": time.time()})
    return {}
