"""The client hands a definite refusal to its caller as the outcome of the call. "The server said 413, and that is what
happened; why would I turn a clear answer into an unknown?" It looks right, for the answer is true.

It breaks the promise of a definite failure: the answer is true of this attempt. The one before it, whose reply was
lost, had run.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from oncerpc.client.outcome import Failed, Unknown
from oncerpc.client.retry import decision
from oncerpc.client.retry.decision import AttemptHistory, CallKind, Verdict
from oncerpc.client.transport.attempt_result import Errored
from tests.bugs.base import Bug, replaced

real_judge_error = decision._judge_error


def judge_error(kind: CallKind, history: AttemptHistory, result: Errored) -> Verdict:
    """A definite error is definite."""
    found = real_judge_error(kind, history, result)
    is_clear = isinstance(found, Unknown) and result.error.definite
    return Failed(result.error, result.replayed) if is_clear else found


def plant() -> AbstractContextManager[None]:
    """Whatever was lost before."""
    return replaced(decision, _judge_error=judge_error)


BUG = Bug(
    number=18,
    name="definite-after-loss",
    side="client",
    breaks="a definite failure means that no attempt had an effect",
    caught_by=(("refused-retry", "at-most-once"),),
    plant=plant,
)
