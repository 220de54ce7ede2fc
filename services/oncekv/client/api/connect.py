"""Makes a client: where its parts are chosen and put together, and the only place that does so.

Place on the way: before the first call. Touches no network: a session is opened by the first call that needs one. With
an outbox it opens that file, and entering the client (`with`) finishes the calls that an earlier process left in it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path

from oncekv.client.api.core import Core, InFlightCalls
from oncekv.client.api.stub import BY_SEMANTICS, Client, Timeout, check_semantics
from oncekv.client.options import Options
from oncekv.client.retry.backoff import RetryPolicy
from oncekv.client.retry.retry_loop import Environment
from oncekv.client.semantics import Semantics
from oncekv.client.session.outbox import Outbox, OutboxError
from oncekv.client.transport.binding import bind
from oncekv.client.transport.http import HttpTransport

__all__ = ["connect"]


def connect(
    server: str | Sequence[str],
    *,
    semantics: Semantics | str = Semantics.AT_MOST_ONCE,
    timeout_s: Timeout = BY_SEMANTICS,
    retry: RetryPolicy | None = None,
    links: str | Path | None = None,
    client: str | None = None,
    token: str | None = None,
    outbox: str | Path | None = None,
    resume: bool = True,
    session_lease_ms: int | None = None,
    sends_timeout: bool = True,
    stays_on_good_link: bool = True,
    rng: random.Random | None = None,
    environment: Environment | None = None,
) -> Client:
    """A client of one server; use it as a context manager, or close it. Threads may share it: it keeps a connection for
    each that calls at the same time, up to 256 to a link (`connections`), and one session for all. A forked process
    gets its own of each by itself, but for an outbox: that stays with its parent, and calls are refused (OutboxError).

    server: a URL without query or user (calls go to /rpc below it, a prefix is kept), `name=url`, a list of either
    (several links to one server), or a service's name, then looked up in `links` (default: the file that ONCEKV_LINKS
    names), among the links of `client` if given. timeout_s: for a whole call. outbox: the file that exactly-once needs.
    resume: whether entering finishes what it holds. retry and the rest: see `RetryPolicy` and `Options`. rng: draws the
    jitter. world: another clock, network and random source than the real ones.

    Raises BindingError, ValueError for a bad choice, OutboxError.
    """
    found = bind(server, links, client)
    chosen = check_semantics(semantics, outbox is not None)
    options = Options(
        retry=retry or RetryPolicy(),
        token=token,
        session_lease_ms=session_lease_ms,
        sends_timeout=sends_timeout,
        stays_on_good_link=stays_on_good_link,
    )

    def new_world(in_flight: InFlightCalls) -> Environment:
        return environment or Environment(
            HttpTransport(len(found)), time.monotonic, in_flight.pause, (rng or random.Random()).uniform
        )

    memory = None if outbox is None else Outbox(outbox)
    try:
        core = Core(found, options, new_world, memory)
    except OutboxError:
        if memory is not None:
            memory.close()
        raise
    return Client(core, chosen, timeout_s, resumes=resume and outbox is not None)
