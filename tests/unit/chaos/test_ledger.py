"""The bank's ledger as a witness: what it does not explain is found."""

from __future__ import annotations

import pytest

from chaos.evidence import CallRecord, TransferRecord
from chaos.judging.bank_ledger import disagreements

INITIAL = {"a": 100, "b": 100}
TRANSFERS = [
    TransferRecord(1, "a", "b", 30, "c0-0;"),
    TransferRecord(2, "b", "a", 10, "c0-1;"),
]
LAST = {"a": 80, "b": 120}


def _call(name: str, number: int, balance: int, began_ms: float) -> CallRecord:
    result = {"transfer": number, "balance": balance}
    return CallRecord(name, 0, 0, "bank.transfer", "ledger", f"{name};", "ok", began_ms, 5.0, result=result)


CALLS = [_call("c0-0", 1, 70, 0.0), _call("c0-1", 2, 120, 10.0)]


def test_a_ledger_that_explains_everything_agrees() -> None:
    """Balances told, balances left and the order in time."""
    assert list(disagreements(INITIAL, TRANSFERS, LAST, CALLS)) == []


@pytest.mark.parametrize(
    ("last", "calls", "finding"),
    [
        ({"a": 81, "b": 120}, CALLS, "a 81 instead of 80"),
        (LAST, [_call("c0-0", 1, 71, 0.0)], "a balance of 71, where the ledger has 70"),
        (LAST, [_call("c0-0", 2, 120, 0.0)], "transfer 2, which is not its own"),
        (LAST, [_call("c0-0", 7, 70, 0.0)], "transfer 7, which is not its own"),
        (LAST, [_call("c0-1", 2, 120, 0.0), _call("c0-0", 1, 70, 10.0)], "2 was told before it was called for"),
    ],
    ids=["money", "balance", "another's", "nobody's", "order"],
)
def test_what_the_ledger_does_not_explain_is_said(last: dict[str, int], calls: list[CallRecord], finding: str) -> None:
    """One finding, in words."""
    (found,) = disagreements(INITIAL, TRANSFERS, last, calls)
    assert finding in found


def test_an_overdraft_is_found() -> None:
    """No account is below nothing at any moment, whatever is on it in the end."""
    transfers = [TransferRecord(1, "a", "b", 130, "c0-0;"), TransferRecord(2, "b", "a", 50, "c0-1;")]
    assert list(disagreements(INITIAL, transfers, {"a": 20, "b": 180}, [])) == ["transfer 1 left -30 on a"]
