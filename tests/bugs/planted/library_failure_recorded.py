"""A 5xx is recorded and replayed. "The same key gives the same answer, whatever the answer was; that is what
idempotent means." It looks right, and well-known services have it so.

It breaks the rule that a failure of the server is no outcome: the client tries again because it was told 500, as it
should, and is told 500 for a day, although the next attempt would have run.
"""

from __future__ import annotations

import secrets
from contextlib import AbstractContextManager

from flask import Response

from oncerpc.flask import views
from oncerpc.server.records import StoreFailed, StoreRefused
from oncerpc.server.sql.database import StillRunning
from oncerpc.server.sql.executor import Executed, Executor, Work
from oncerpc.wire.errors import Refused
from oncerpc.wire.jsonrpc import Reply
from tests.bugs.base import Bug, replaced

real_run = Executor.run


def run(self: Executor, work: Work) -> Executed:
    """An exception becomes a page, and the page a record."""
    try:
        return real_run(self, work)
    except (Refused, StillRunning, StoreRefused, StoreFailed):
        raise
    except Exception:
        if not isinstance(work, views._ViewWork) or work.key is None:
            raise
        work.response = None
        page = views._pack(Response("internal server error\n", 500), frozenset())
        return self._record_failure(work, Reply(True, page), secrets.token_bytes(8))


def plant() -> AbstractContextManager[None]:
    """Every reply is worth a record."""
    return replaced(Executor, run=run)


BUG = Bug(
    number=27,
    name="library-failure-recorded",
    side="library",
    breaks="a failure of the server is no outcome: the next attempt runs",
    caught_by=(("healthy", "idempotency-key"),),
    plant=plant,
)
