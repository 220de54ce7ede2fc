"""What PostgreSQL's errors mean (step 10): by SQLSTATE, for a transaction that was not yet told to commit.

Such a transaction is rolled back, whatever happened to it. So the question is only whether it is worth another try.
"""

from __future__ import annotations

import psycopg

from oncekv.server.engine.storage.base import StoreBusy, StoreConflict, StoreRefused

__all__ = ["OUTCOME_UNKNOWN", "explain", "translated"]

OUTCOME_UNKNOWN = "40003"
"""statement_completion_unknown: of a commit, the same as no answer."""
_CONFLICTS = {
    "40001",  # serialization_failure
    "40P01",  # deadlock_detected
    "23505",  # unique_violation: another server has made the key, or recorded the Idempotency-Key, at the same moment
    "25P03",  # idle_in_transaction_session_timeout: this process stood still, and its locks were taken from it
}
_BUSY = {"55P03"}  # lock_not_available
_REFUSING = {
    "25006": "the database is read-only; name its primary",
    "42501": "its user may not do that; grant it the tables, or name their owner",
    "42P01": "the store's tables are gone; put them back, or start anew",
    "3D000": "make the database first, with createdb",
    "28000": "see that the user and the database's pg_hba.conf are right",
    "28P01": "see that the password is right",
}
_REFUSING_CLASSES = (
    "08",  # connection_exception
    "53",  # insufficient_resources: disk_full, too_many_connections
    "57",  # operator_intervention: shut down, starting up, cancelled
    "58",  # system_error: io_error
    "XX",  # internal_error: corrupted
)


def translated(error: psycopg.Error, reason: str, *, is_lost: bool) -> Exception:
    """The same for whoever knows stores. `reason`: what it says, fit to be shown; `is_lost`: with the connection."""
    state = error.sqlstate or ""
    if state in _CONFLICTS or (is_lost and state[:2] not in ("28", "3D")):
        return StoreConflict(reason)
    if state in _BUSY:
        return StoreBusy(reason)
    if state in _REFUSING or state[:2] in _REFUSING_CLASSES:
        return StoreRefused(reason)
    return error


def explain(error: psycopg.Error, reason: str) -> str:
    """The reason, and the way out where one is known; that is ours, so libpq's own guess is left out."""
    reason = reason.partition(" Is the server running")[0]
    way_out = _REFUSING.get(error.sqlstate or "")
    if way_out is None and "password" in reason:  # of a refused connection libpq hands on no SQLSTATE
        way_out = _REFUSING["28P01"]
    if way_out is None and "does not exist" in reason:
        way_out = _REFUSING["3D000"]
    if way_out is None and ("read-only" in reason or "standby" in reason):
        way_out = "name its primary, or all of its hosts"
    return f"{reason}; {way_out or 'see that it runs, and that this machine may reach it'}"
