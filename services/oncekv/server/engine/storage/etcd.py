"""etcd (step 10): a replicated store for any number of servers; each group of calls is one transaction (`etcd_writer`).

Guarantee: a commit returns when a majority of the members has it on disk, so what was answered survives the loss of any
minority, and servers have nothing of their own to lose. Every read is linearizable: at any server it sees what was
answered before it began. Whether a transaction whose reply was lost was committed is found out before anybody is told
anything (`etcd_transactions`).
Limit: one transaction holds what etcd takes in one request (`etcd_limits`); a call over that is refused as too large.
Without a majority nothing is written nor read.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping

from oncekv.server.config import StartupError
from oncekv.server.engine.storage import etcd_api as api
from oncekv.server.engine.storage.base import StoreConflict, StoreFailed, StoreRefused
from oncekv.server.engine.storage.etcd_client import EtcdClient
from oncekv.server.engine.storage.etcd_errors import EtcdDenied, EtcdError, EtcdLost, EtcdUnreachable
from oncekv.server.engine.storage.etcd_layout import MIGRATING, SCHEMA, Layout
from oncekv.server.engine.storage.etcd_limits import EtcdLimits, find_limits
from oncekv.server.engine.storage.etcd_tally import CLOCK_PACE_MS, EtcdTally
from oncekv.server.engine.storage.etcd_transactions import EtcdTransactions
from oncekv.server.engine.storage.etcd_url import EtcdLocation, parse_location
from oncekv.server.engine.storage.etcd_view import EtcdView
from oncekv.server.engine.storage.etcd_writer import EtcdWriter

__all__ = ["EtcdStore", "check_location", "open_store"]

READ_MAX_S = 2.0
GROUP_READ_MAX_S = 4.0
CHECK_MAX_S = 1.5
START_MAX_S = 5.0
BOOT_ATTEMPTS_MAX = 100
OPS_KEPT_FREE = 8
NEVER = 2**62
"""A revision that no key has."""


def check_location(location: str) -> None:
    """Raises UsageError when this names no cluster; nothing is asked."""
    parse_location(location)


def open_store(location: str) -> EtcdStore:
    """`location` is what follows `etcd://`. Raises StartupError: the cause, and the way out."""
    where = parse_location(location)
    client, layout = EtcdClient(where), Layout(where.prefix)
    try:
        _prepare(client, layout)
        return EtcdStore(client, layout, find_limits(client, layout), where)
    except EtcdError as error:
        client.close()
        raise StartupError(_cannot_open(where, error)) from None
    except BaseException:
        client.close()
        raise


class EtcdStore:
    """The store under one prefix of a cluster."""

    name = "etcd"

    def __init__(self, client: EtcdClient, layout: Layout, limits: EtcdLimits, where: EtcdLocation) -> None:
        self._client = client
        self._layout = layout
        self._limits = limits
        self._where = where
        self._transactions = EtcdTransactions(client, layout)
        self._tally = EtcdTally(client, layout, self._transactions)
        self.group_ops_max: int | None = limits.txn_ops - OPS_KEPT_FREE
        self.clock_pace_ms: int | None = CLOCK_PACE_MS
        self.limits: Mapping[str, int] = {"txn_ops": limits.txn_ops, "request_bytes": limits.request_bytes}

    def boot(self) -> int:
        """Count one more start on this store; the new count. Raises StartupError."""
        try:
            boot = self._count_start()
        except (EtcdError, StoreRefused, StoreFailed) as error:
            raise StartupError(_cannot_open(self._where, error)) from None
        self._tally.fold_dead()
        return boot

    @contextlib.contextmanager
    def read(self) -> Iterator[EtcdView]:
        """What is committed, at one revision."""
        try:
            yield EtcdView(self._client, self._layout, READ_MAX_S)
        except StoreConflict as error:
            raise StoreRefused(str(error)) from None

    @contextlib.contextmanager
    def write(self) -> Iterator[EtcdWriter]:
        """What one group reads and changes; the transaction is sent at the end, if there is anything to change."""
        self._transactions.settle()
        before = self._tally.counters()
        writer = EtcdWriter(self._client, self._layout, GROUP_READ_MAX_S, before, self._tally.clock_lag_max_ms)
        yield writer
        ops = writer.finish()
        if ops or writer.counted != before:
            self._limits.check(writer.compares, ops)
            self._transactions.commit(writer.compares, ops, self._tally.moved(before, writer.counted))

    def check(self, *, writes: bool) -> None:
        """Ask a majority; for `writes`, by a transaction that is written to every log and then finds nothing to do."""
        try:
            if writes:
                never = api.unchanged(self._layout.probe, NEVER)
                self._client.write(api.Txn([never], [api.put(self._layout.probe, b"")]), CHECK_MAX_S)
                return
            found = self._client.range(api.Range(self._layout.schema), CHECK_MAX_S).kvs
        except EtcdError as error:
            raise StoreFailed(str(error)) from None
        if not found or found[0].value != SCHEMA:
            raise StoreRefused("the store's schema has changed, or is gone; start this server anew")

    def close(self) -> None:
        """Leave nothing of this server behind, and close the connections."""
        self._tally.fold_own()
        self._client.close()

    def _count_start(self) -> int:
        boot = self._layout.boot
        for _ in range(BOOT_ATTEMPTS_MAX):
            found = self._client.range(api.Range(boot)).kvs
            count = int(found[0].value) + 1 if found else 1
            unchanged = api.unchanged(boot, found[0].mod_revision if found else 0)
            with contextlib.suppress(StoreConflict):
                self._transactions.commit([unchanged], [api.put(boot, b"%d" % count)], self._transactions.document)
                return count
        raise StoreFailed("too many servers start at once; start this one again")


def _prepare(client: EtcdClient, layout: Layout) -> None:
    """Mark an empty prefix as ours; refuse another program's, and another schema. Raises EtcdError or StartupError."""
    deadline_s = time.monotonic() + START_MAX_S
    shown = ascii(layout.prefix.decode(errors="replace"))[1:-1]
    while True:
        anything = api.Op(request_range=api.Range(layout.prefix, api.prefix_end(layout.prefix), 1, keys_only=True))
        response = client.read(api.Txn(success=[api.get(layout.schema), anything]), START_MAX_S)
        schema = response.kvs(0)
        if not schema and response.kvs(1):
            raise StartupError(f"the keys under {shown} belong to another program; name another prefix")
        if schema and schema[0].value == MIGRATING:
            raise StartupError(f"a move into {shown} is not over; run the same `oncekv migrate` again")
        if schema and schema[0].value != SCHEMA:
            version = ascii(schema[0].value[:20].decode(errors="replace"))[1:-1]
            raise StartupError(
                f"the store under {shown} has schema {version}, this release knows {SCHEMA.decode()};"
                " use the release that made it, or name another prefix"
            )
        if schema:
            return
        with contextlib.suppress(EtcdLost):  # then the next look says what became of it
            client.write(api.Txn([api.absent(layout.schema)], [api.put(layout.schema, SCHEMA)]))
        if time.monotonic() > deadline_s:
            raise EtcdUnreachable("no transaction is answered")


def _cannot_open(where: EtcdLocation, error: Exception) -> str:
    """One line; it names the endpoints, and no credentials."""
    if isinstance(error, EtcdDenied):
        return (
            f"etcd at {where} refuses these credentials ({error}); give a user and a password with rights to the prefix"
        )
    return f"etcd at {where} cannot be used ({error}); see that it runs, and that these are its client addresses"
