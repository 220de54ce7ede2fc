"""The bank's ledger against what callers were told and what is on the accounts. Pure.

The ledger is the witness of an order: a transfer's number is drawn while both its accounts are locked, so replaying the
ledger from the beginning must give every balance that anybody was told, never less than nothing, and in the end what is
on the accounts. That order must agree with time as well: who was told of a transfer before another one was called for
has the smaller number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from chaos.evidence import CallRecord, TransferRecord

__all__ = ["disagreements"]


def disagreements(
    initial: Mapping[str, int],
    transfers: Sequence[TransferRecord],
    last: Mapping[str, int],
    calls: Sequence[CallRecord],
) -> Iterator[str]:
    """What does not agree, in words."""
    after = dict(initial)
    told: dict[int, TransferRecord] = {}
    balances: dict[int, int] = {}
    for transfer in sorted(transfers, key=lambda transfer: transfer.id):
        after[transfer.source] = balance = after.get(transfer.source, 0) - transfer.amount
        after[transfer.target] = after.get(transfer.target, 0) + transfer.amount
        told[transfer.id], balances[transfer.id] = transfer, balance
        if balance < 0:
            yield f"transfer {transfer.id} left {balance} on {transfer.source}"
    if after != last:
        wrong = sorted(name for name in {*after, *last} if after.get(name) != last.get(name))
        yield "the accounts hold what the ledger does not explain: " + ", ".join(
            f"{name} {last.get(name)} instead of {after.get(name)}" for name in wrong
        )
    confirmed = [call for call in calls if call.told == "ok" and call.token]
    for call in confirmed:
        number, was_told = _number(call), (call.result or {}).get("balance")
        if number not in told or told[number].token != call.token:
            yield f"{call.name} was told of transfer {number}, which is not its own"
        elif balances[number] != was_told:
            yield f"{call.name} was told a balance of {was_told}, where the ledger has {balances[number]}"
    yield from _against_time(confirmed)


def _against_time(confirmed: Sequence[CallRecord]) -> Iterator[str]:
    """Transfers whose numbers say another order than the clocks of their callers."""
    ended = sorted(((call.began_ms + call.took_ms, _number(call)) for call in confirmed), reverse=True)
    newest = 0
    for call in sorted(confirmed, key=lambda call: call.began_ms):
        while ended and ended[-1][0] < call.began_ms:
            newest = max(newest, ended.pop()[1])
        if _number(call) < newest:
            yield f"{call.name} has number {_number(call)}, and {newest} was told before it was called for"


def _number(call: CallRecord) -> int:
    return int((call.result or {}).get("transfer", 0))
