"""Each cell of the table in `decision`: semantics, what was lost before, and how this attempt ended."""

import pytest

from oncekv.kv.errors import VersionMismatch
from oncerpc.client.outcome import Failed, HttpRefused, Ok, Unknown, UnlistedError, Unreachable
from oncerpc.client.retry.decision import AttemptHistory, CallKind, Step, decide, give_up
from oncerpc.client.semantics import Semantics, is_harmless
from oncerpc.client.transport.attempt_result import Answered, Errored, Lost, NotSent
from oncerpc.wire.errors import (
    REGISTRY,
    ApplicationError,
    Expired,
    IdentityReused,
    InternalError,
    KnownError,
    Overloaded,
    SessionUnknown,
    StaleCall,
    TooManySessions,
)

MAYBE, AT_LEAST, AT_MOST, EXACTLY = Semantics
IDENTIFIED = [AT_MOST, EXACTLY]
RETRYING = [AT_LEAST, *IDENTIFIED]
FRESH, LOST = AttemptHistory(), AttemptHistory(lost=True)

LATER = [Overloaded, Expired, TooManySessions]
RECORDED = [kind for kind in REGISTRY.values() if issubclass(kind, ApplicationError)]
SPECIAL = [InternalError, IdentityReused, SessionUnknown, StaleCall]
FINAL: list[type[KnownError]] = [
    *(kind for kind in REGISTRY.values() if kind not in [*LATER, *RECORDED, *SPECIAL]),
    HttpRefused,
]


def verdict(semantics, history, result, harmless=False):
    """The decision, in the words of the table."""
    return decide(CallKind(semantics, harmless), history, result)


def test_every_error_of_the_registry_stands_in_the_table():
    """A new error code makes this file fail until somebody has decided what it means for a call."""
    assert {kind.name for kind in FINAL} == {
        "parse_error",
        "invalid_request",
        "method_not_found",
        "invalid_params",
        "window_exceeded",
        "http_refused",
    }
    assert {kind.name for kind in RECORDED} == {"version_mismatch", "not_an_integer", "too_large"}


@pytest.mark.parametrize("semantics", Semantics)
@pytest.mark.parametrize("history", [FRESH, LOST], ids=["fresh", "lost"])
def test_a_result_settles_the_call(semantics, history):
    """A result is ok under every semantics, whatever was lost before, and tells whether it is a replay."""
    assert verdict(semantics, history, Answered({"version": 1}, replayed=True)) == Ok({"version": 1}, replayed=True)


def test_maybe_makes_one_attempt_and_says_what_it_knows():
    """Maybe: a lost attempt or an internal error is unknown, an attempt that never left is a definite failure."""
    assert verdict(MAYBE, FRESH, Lost("timed out")) == Unknown("timed out")
    assert isinstance(verdict(MAYBE, FRESH, Errored(InternalError())), Unknown)
    assert isinstance(verdict(MAYBE, FRESH, Errored(UnlistedError())), Unknown)
    settled = verdict(MAYBE, FRESH, NotSent("connection refused"))
    assert isinstance(settled, Failed)
    assert isinstance(settled.error, Unreachable)


@pytest.mark.parametrize("kind", [*LATER, *RECORDED, *FINAL])
def test_maybe_passes_every_definite_error_on(kind):
    """Maybe: a definite error is a definite failure, and nothing is tried again."""
    error = kind()
    assert verdict(MAYBE, FRESH, Errored(error)) == Failed(error)


@pytest.mark.parametrize("semantics", RETRYING)
@pytest.mark.parametrize("history", [FRESH, LOST], ids=["fresh", "lost"])
@pytest.mark.parametrize(
    "result",
    [Lost("timed out"), NotSent("refused"), Errored(InternalError()), Errored(UnlistedError())]
    + [Errored(kind()) for kind in LATER],
    ids=["lost", "not_sent", "internal_error", "unlisted", "overloaded", "expired", "too_many_sessions"],
)
def test_what_may_pass_is_tried_again(semantics, history, result):
    """Lost attempts, unreachable servers, failures and refusals for load never settle a call that may be retried."""
    assert verdict(semantics, history, result) is Step.AGAIN


@pytest.mark.parametrize("kind", [*RECORDED, *FINAL])
def test_at_least_once_knows_only_about_the_attempt_that_answered(kind):
    """A definite error is definite alone; after a lost attempt, which may have caused it, nobody can tell."""
    error = kind()
    assert verdict(AT_LEAST, FRESH, Errored(error)) == Failed(error)
    assert isinstance(verdict(AT_LEAST, LOST, Errored(error)), Unknown)


@pytest.mark.parametrize("semantics", IDENTIFIED)
@pytest.mark.parametrize("kind", RECORDED)
@pytest.mark.parametrize("history", [FRESH, LOST], ids=["fresh", "lost"])
@pytest.mark.parametrize("replayed", [False, True])
def test_a_recorded_error_settles_every_attempt_of_an_identity(semantics, kind, history, replayed):
    """With an identity, 22, 23 and 24 are definite always: the record speaks for the lost attempts too."""
    error = kind()
    assert verdict(semantics, history, Errored(error, replayed)) == Failed(error, replayed)


@pytest.mark.parametrize("semantics", IDENTIFIED)
@pytest.mark.parametrize("kind", FINAL)
def test_a_refusal_is_definite_only_if_nothing_was_lost(semantics, kind):
    """A refusal speaks of this attempt: an earlier one may have met another release of the server."""
    error = kind()
    assert verdict(semantics, FRESH, Errored(error)) == Failed(error)
    assert isinstance(verdict(semantics, LOST, Errored(error)), Unknown)


@pytest.mark.parametrize("semantics", RETRYING)
@pytest.mark.parametrize("history", [FRESH, LOST], ids=["fresh", "lost"])
def test_identity_reused_proves_that_the_call_can_never_run(semantics, history):
    """The identity belongs to another payload: ours never ran and never can, lost attempts or not."""
    error = IdentityReused()
    assert verdict(semantics, history, Errored(error)) == Failed(error)


@pytest.mark.parametrize("semantics", IDENTIFIED)
@pytest.mark.parametrize("history", [FRESH, LOST], ids=["fresh", "lost"])
def test_stale_call_is_unknown(semantics, history):
    """The call was settled before, and no record is left to say how."""
    assert isinstance(verdict(semantics, history, Errored(StaleCall())), Unknown)


@pytest.mark.parametrize("semantics", IDENTIFIED)
def test_session_unknown_reissues_only_what_surely_never_ran(semantics):
    """With nothing lost, the call gets a new session; with something lost, its record is gone for good."""
    assert verdict(semantics, FRESH, Errored(SessionUnknown())) is Step.REISSUE
    unknown = verdict(semantics, LOST, Errored(SessionUnknown()))
    assert isinstance(unknown, Unknown)
    assert not unknown.kept


@pytest.mark.parametrize("semantics", RETRYING)
@pytest.mark.parametrize("kind", [*RECORDED, *FINAL, IdentityReused, SessionUnknown])
@pytest.mark.parametrize("history", [FRESH, LOST], ids=["fresh", "lost"])
def test_a_read_has_no_effect_to_be_unsure_of(semantics, kind, history):
    """An error that answers a read is definite even after lost attempts, and is never reissued."""
    error = kind()
    assert verdict(semantics, history, Errored(error), harmless=True) == Failed(error)


@pytest.mark.parametrize("semantics", RETRYING)
def test_a_lost_read_is_asked_again(semantics):
    """Repeating a read is harmless, so the stricter semantics retry it too."""
    assert verdict(semantics, LOST, Lost("timed out"), harmless=True) is Step.AGAIN


def test_a_lost_read_under_maybe_is_unknown():
    """Maybe makes one attempt, of a read as well: the caller has no answer."""
    assert verdict(MAYBE, FRESH, Lost("timed out"), harmless=True) == Unknown("timed out")


@pytest.mark.parametrize("semantics", [AT_LEAST, AT_MOST])
def test_out_of_time_with_something_lost_is_unknown(semantics):
    """At the deadline one lost attempt is enough to make the outcome unknown."""
    assert give_up(CallKind(semantics), LOST, "late") == Unknown("late")


@pytest.mark.parametrize("semantics", [AT_LEAST, AT_MOST])
def test_out_of_time_with_refusals_alone_is_a_definite_failure(semantics):
    """At the deadline, refused attempts and ones that never left mean that nothing ran."""
    busy = Overloaded()
    assert give_up(CallKind(semantics), AttemptHistory(refusal=busy), "late") == Failed(busy)
    settled = give_up(CallKind(semantics), FRESH, "late")
    assert isinstance(settled, Failed)
    assert isinstance(settled.error, Unreachable)


@pytest.mark.parametrize(
    "history", [FRESH, LOST, AttemptHistory(refusal=Overloaded())], ids=["fresh", "lost", "refused"]
)
def test_exactly_once_never_gives_a_call_up(history):
    """Whatever a deadline cuts short stays in the outbox, even a call of which nothing was sent."""
    settled = give_up(CallKind(EXACTLY), history, "late")
    assert isinstance(settled, Unknown)
    assert settled.kept


def test_exactly_once_keeps_a_call_that_a_mendable_refusal_interrupts():
    """A wrong token after a lost attempt can be mended, so the call stays; params that no server takes cannot."""
    for status in (401, 403, 404, 405):
        refused = verdict(EXACTLY, LOST, Errored(HttpRefused("", status=status)))
        assert isinstance(refused, Unknown)
        assert refused.kept
    for error in [*(kind() for kind in FINAL), HttpRefused("", status=413)]:
        settled = verdict(EXACTLY, LOST, Errored(error))
        assert isinstance(settled, Unknown)
        assert not settled.kept


def test_an_exactly_once_read_is_not_kept():
    """The outbox keeps effects; a read that nobody waits for any more is forgotten."""
    settled = give_up(CallKind(EXACTLY, harmless=True), LOST, "late")
    assert settled == Unknown("late")


@pytest.mark.parametrize(
    ("result", "lost", "refused"),
    [
        (Lost("timed out"), True, False),
        (Errored(InternalError()), True, False),
        (Errored(UnlistedError()), True, False),
        (NotSent("refused"), False, False),
        (Errored(Overloaded()), False, True),
        (Errored(VersionMismatch()), False, True),
        (Errored(SessionUnknown()), False, False),
    ],
    ids=["lost", "internal", "unlisted", "not_sent", "overloaded", "mismatch", "session_unknown"],
)
def test_the_past_remembers_what_may_have_run(result, lost, refused):
    """Only what may have run poisons the history, and it does so for good."""
    history = FRESH.after(result)
    assert (history.lost, history.refusal is not None) == (lost, refused)
    assert LOST.after(result).lost


@pytest.mark.parametrize(
    ("method", "params", "harmless"),
    [
        ("kv.get", {"key": "k"}, True),
        ("kv.list", {}, True),
        ("kv.txn", {"ops": [{"op": "get", "key": "k"}]}, True),
        ("kv.txn", {"ops": [{"op": "get", "key": "k"}, {"op": "delete", "key": "k"}]}, False),
        ("kv.txn", {"ops": "?"}, False),
        ("kv.append", {"key": "k", "value": "x"}, False),
        ("kv.future", {}, False),
        ("server.info", {}, True),
        ("session.open", {}, True),
        ("rpc.discover", {}, True),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_only_what_changes_nothing_is_harmless(method, params, harmless):
    """Reads may be repeated freely; a method that the client does not know may not."""
    assert is_harmless(method, params) is harmless
