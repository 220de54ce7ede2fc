"""The lookup does not wait for a commit in flight. "Each transaction leaves a mark, so look whether the mark is there:
a SELECT needs no locks and is quick." It looks right, for the mark of every committed transaction is found.

It breaks what is said of a call that was sent once: the COMMIT lay in a buffer, the mark was not to be seen yet, the
group ran again, and then both were committed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import psycopg

from oncekv.server.engine.storage import postgresql
from oncekv.server.engine.storage.base import StoreFailed
from oncekv.server.engine.storage.postgresql_connection import Link
from oncekv.server.engine.storage.postgresql_group import Mark, Marks
from tests.bugs.base import Bug, replaced

LOOK = "SELECT 1 FROM oncekv_group WHERE writer = %b AND number = %b"


def was_committed(mark: Mark, marks: Marks, connect: Callable[[], Link]) -> bool:
    """Whether the mark is there now."""
    link = connect()
    try:
        return bool(link.ask(LOOK, mark.values))
    except psycopg.Error as error:
        raise StoreFailed(str(error)) from error
    finally:
        link.close()


def plant() -> AbstractContextManager[None]:
    """Look, and write nothing."""
    return replaced(postgresql, was_committed=was_committed)


BUG = Bug(
    number=33,
    name="lookup-does-not-wait",
    side="server",
    breaks="what was sent once takes effect at most once",
    caught_by=(("store-commit-late", "maybe"),),
    plant=plant,
    store="postgres",
)
