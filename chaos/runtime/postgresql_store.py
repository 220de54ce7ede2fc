"""PostgreSQL under a cell's servers: one host, or a primary and its standby, each behind a link.

The standby is sent the primary's log over a link as well. A synchronous one has all that was ever acknowledged; an
asynchronous one has what has arrived.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import ClassVar, Self

from chaos.runtime.base import ASYNC_STANDBY, LINKED, STANDBY, ServerError
from chaos.runtime.linked_store import LinkedStore
from chaos.runtime.links import Link, Links
from chaos.runtime.postgresql_host import POLL_S, PostgreSQLHost

__all__ = ["PostgreSQLStore", "PostgreSQLStores"]

FOLLOWS_MAX_S = 30.0


class PostgreSQLPair:
    """A primary and a standby that follows it; `is_synchronous`: each commit waits until the standby has it."""

    def __init__(self, start: Callable[[], PostgreSQLHost], links: Links, name: str, *, is_synchronous: bool) -> None:
        with contextlib.ExitStack() as stack:
            self.primary = stack.enter_context(contextlib.closing(start()))
            self.standby = stack.enter_context(contextlib.closing(start()))
            self.replication: Link = links.make(f"{name}--replication", self.primary.upstream)
            stack.callback(self.replication.remove)
            self.standby.follow(self.replication.port)
            if is_synchronous:
                self.primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
                self.primary.execute("SELECT pg_reload_conf()")
            self._wait_following("sync" if is_synchronous else "async")
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave nothing of either."""
        self._stack.close()

    def _wait_following(self, how: str) -> None:
        end_s = time.monotonic() + FOLLOWS_MAX_S
        found = f"SELECT 1 FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = '{how}'"  # noqa: S608 one of two words of ours
        while not self.primary.execute(found):
            if time.monotonic() > end_s:
                raise ServerError(f"the standby does not follow after {FOLLOWS_MAX_S:g} s")
            time.sleep(POLL_S)


class PostgreSQLStore(LinkedStore):
    """A database. `own`: what of its engine nobody else uses, so that it may be broken, and ends with the store."""

    engine: ClassVar[str] = "PostgreSQL"
    committed: ClassVar[bytes] = b"COMMIT\0"

    def __init__(
        self, name: str, host: PostgreSQLHost, links: Links, own: PostgreSQLHost | PostgreSQLPair | None = None
    ) -> None:
        self._host = host
        self._pair = own if isinstance(own, PostgreSQLPair) else None
        self._own = own
        self._is_dead = False
        both = [host, *([self._pair.standby] if self._pair else [])]
        super().__init__(name, [one.upstream for one in both], links)
        database = host.make_database().rpartition("/")[2]
        self.url = f"postgresql://{host.user}@{','.join(self.hosts)}/{database}"
        self.commits = b"COMMIT"

    def kill_leader(self) -> str:
        self._host.kill()
        self._is_dead = True
        return "SIGKILL to the primary"

    def stop_replication(self) -> None:
        self._of_two().replication.add("timeout", "downstream", timeout=0)

    def promote(self) -> str:
        """The primary, which must be dead, stays so."""
        self._of_two().standby.execute("SELECT pg_promote()")
        return "the standby was promoted"

    def restore(self) -> None:
        super().restore()
        if self._is_dead and self._pair is None:
            self._host.start()
            self._is_dead = False

    def close(self) -> None:
        super().close()
        if self._own is not None:
            self._own.close()

    def _of_two(self) -> PostgreSQLPair:
        if self._pair is None:
            raise self._cannot("promote a standby that it does not have")
        return self._pair


class PostgreSQLStores:
    """A server whose databases are stores; for each cell that breaks its own one more, or a pair. `start` makes one."""

    def __init__(self, start: Callable[[], PostgreSQLHost]) -> None:
        self._start = start
        self._host = start()

    def new_store(self) -> str:
        return self._host.new_store()

    def open(self, name: str, kind: str, links: Links) -> PostgreSQLStore:
        if kind == LINKED:
            return PostgreSQLStore(name, self._host, links)
        own: PostgreSQLHost | PostgreSQLPair
        if kind in (STANDBY, ASYNC_STANDBY):
            own = PostgreSQLPair(self._start, links, name, is_synchronous=kind == STANDBY)
        else:
            own = self._start()
        try:
            return PostgreSQLStore(name, own.primary if isinstance(own, PostgreSQLPair) else own, links, own)
        except BaseException:
            own.close()
            raise

    def close(self) -> None:
        self._host.close()
