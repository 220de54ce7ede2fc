"""An attempt that the database did not let come to its end: how often it is made again, and when nobody can tell.

Conflict          the database gave the transaction up for another one: nothing stayed, all of it runs again
StaleConnection   the connection was gone before anything began, as a pooled one is after the database's restart
Unclear           the commit got no answer: the next attempt finds the record, waiting for a commit still in flight,
or finds none and runs; without an identity there is nothing to look for
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import DBAPIError

from oncerpc.server.records import StoreFailed, StoreRefused
from oncerpc.server.sql.database import StillRunning
from oncerpc.server.sql.errors import is_conflict, one_line
from oncerpc.wire.errors import Overloaded

__all__ = ["CONFLICTS_MAX", "Conflict", "StaleConnection", "Unclear", "again", "in_bounds"]

CONFLICTS_MAX = 12
"""How often one attempt is run again because the database gave it up for another one."""
LOOKUPS_MAX = 8
"""How often the outcome of a commit that got no answer is looked for: some ten seconds, a failover's time."""

T = TypeVar("T")


class Conflict(Exception):
    """The database gave the transaction up."""


class StaleConnection(Exception):
    """The connection was gone before anything began."""


class Unclear(Exception):
    """The commit got no answer."""


def in_bounds(attempt: Callable[[], T], *, has_identity: bool) -> T:
    """Attempt until there is an outcome.

    Raises Overloaded after too many conflicts; StoreRefused and StillRunning where nothing has begun; StoreFailed where
    nobody can tell what a commit came to.
    """
    conflicts = lookups = stale = 0
    while True:
        try:
            return attempt()
        except Conflict as error:
            conflicts += 1
            if conflicts > CONFLICTS_MAX:
                raise Overloaded("the database gave the call up for others again and again") from error
            time.sleep(random.uniform(0, 0.002 * 2 ** min(conflicts, 7)))
        except StaleConnection as error:
            stale += 1
            if stale > 1 and not lookups:
                raise StoreRefused(str(error)) from error
            _pause(lookups, error, has_identity)
        except (Unclear, StoreRefused, StillRunning) as error:
            if not isinstance(error, Unclear) and not lookups:
                raise
            lookups += 1
            _pause(lookups, error, has_identity)


def _pause(lookups: int, error: Exception, has_identity: bool) -> None:
    """Wait before the outcome is looked for once more. Raises StoreFailed where that is no use."""
    if lookups and (not has_identity or lookups > LOOKUPS_MAX):
        raise StoreFailed(f"a commit got no answer, and its outcome could not be found: {error}") from error
    time.sleep(min(0.05 * 2**lookups, 2.0) if lookups else 0)


def again(attempt: Callable[[], T]) -> T:
    """Do what may be done again as often as one likes, until the database neither gives it up nor has just come back.

    Raises StoreRefused where it is away.
    """
    for left in reversed(range(CONFLICTS_MAX)):
        try:
            return attempt()
        except DBAPIError as error:
            if error.connection_invalidated and (not left or left < CONFLICTS_MAX - 1):
                raise StoreRefused(one_line(error)) from error
            if not left or not (is_conflict(error) or error.connection_invalidated):
                raise
            time.sleep(random.uniform(0, 0.01))
    raise AssertionError("the last one raised")
