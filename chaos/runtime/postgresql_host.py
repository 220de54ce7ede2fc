"""A PostgreSQL server, wherever it runs, and what is asked of it."""

from __future__ import annotations

import itertools
import threading
import time
from abc import ABC, abstractmethod
from typing import Any

from chaos.runtime.base import ServerError

__all__ = ["COMMAND_MAX_S", "POLL_S", "PostgreSQLHost"]

COMMAND_MAX_S = 60.0
POLL_S = 0.05


class PostgreSQLHost(ABC):
    """One server without a password, which keeps its data and its addresses over its lives, until `close`."""

    user: str
    port: int
    """Of the loopback, where it answers us."""
    address: str
    """host:port, as servers have it."""
    upstream: str
    """host:port, as Toxiproxy has it."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    @abstractmethod
    def start(self) -> None:
        """Start it, again on the same data; waits until it answers."""

    @abstractmethod
    def kill(self) -> None:
        """SIGKILL to all its processes, and wait until they are gone."""

    @abstractmethod
    def follow(self, port: int) -> None:
        """Become a standby of the one behind the link on that port: a copy of it, which is sent all that it commits."""

    @abstractmethod
    def close(self) -> None:
        """End it at once, and leave nothing of it. Harmless when closed."""

    def make_database(self) -> str:
        """A new, empty database; its URL, for SQLAlchemy."""
        name = f"cell{next(self._numbers)}"
        with self._lock:  # two that copy the template at once would be in each other's way
            self.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://{self.user}@{self.address}/{name}"

    def new_store(self) -> str:
        """The URL of an empty store in it, as `oncekv serve --store` takes it."""
        return self.make_database().replace("postgresql+psycopg://", "postgresql://")

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a statement, as a client has them; the driver is wanted here alone. Raises ServerError."""
        import psycopg

        where = f"host=127.0.0.1 port={self.port} user={self.user} dbname=postgres connect_timeout=5"
        try:
            with psycopg.connect(where, autocommit=True) as connection:
                done = connection.execute(statement.encode())
                return done.fetchall() if done.description else []
        except psycopg.Error as error:
            raise ServerError(f"PostgreSQL: {error}") from None

    @abstractmethod
    def log_tail(self) -> str:
        """Its last words."""

    @abstractmethod
    def has_ended(self) -> bool:
        """Whether it runs no longer."""

    def wait_ready(self) -> None:
        """Until it answers. Raises ServerError."""
        end_s = time.monotonic() + COMMAND_MAX_S
        while not self._answers():
            if self.has_ended() or time.monotonic() > end_s:
                raise ServerError(f"PostgreSQL does not start: {self.log_tail()}")
            time.sleep(POLL_S)

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except ServerError:
            return False
        return True
