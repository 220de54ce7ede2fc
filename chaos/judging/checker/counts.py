"""What can be judged without an order of operations: a client's own order in a log, and a total that is kept.

How often each call took effect is `chaos.judging.judge`'s to count. Plain data in, violations in words out; none is
good.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["out_of_order", "total_not_conserved"]


def out_of_order(log: Sequence[str], clients: Mapping[str, Sequence[tuple[str, bool]]]) -> list[str]:
    """Where the tokens of a sequential client do not stand in its order in the log that it appended to.

    log: the tokens as they stand. clients: by name, the tokens that it appended one after the other, each with whether
    it was told ok. A token that was not may have come at any later time, or never, so it need only stand behind those
    that were told ok before it was appended. Where a token stands twice, its first place counts.
    """
    place: dict[str, int] = {}
    for index, token in enumerate(log):
        place.setdefault(token, index)
    return [violation for name, tokens in clients.items() for violation in _of_client(name, tokens, place)]


def _of_client(name: str, tokens: Sequence[tuple[str, bool]], place: Mapping[str, int]) -> list[str]:
    violations = []
    last: str | None = None  # of those told ok so far, the one that stands furthest back
    for token, is_ok in tokens:
        if token not in place:
            continue
        if last is not None and place[token] < place[last]:
            violations.append(f"{name}: {token} was appended after {last} was told ok, and stands before it")
        elif is_ok:
            last = token
    return violations


def total_not_conserved(
    reads: Sequence[tuple[str, Mapping[str, int]]], accounts: Sequence[str], total: int
) -> list[str]:
    """Which reads of all accounts do not sum up to the total. reads: a name, and the balance of each account."""
    violations = []
    for name, balances in reads:
        missing = [account for account in accounts if account not in balances]
        found = sum(balances.get(account, 0) for account in accounts)
        if missing:
            violations.append(f"{name} did not read {', '.join(missing)}")
        elif found != total:
            violations.append(f"{name} found {found} in all accounts together, which is {found - total:+} of {total}")
    return violations
