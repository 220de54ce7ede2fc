"""What the state machine draws from: writes of all kinds on three keys, small texts, seqs near each other."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

__all__ = ["SEQ_MAX", "calls", "lags", "seqs", "whiches"]

SEQ_MAX = 6
NAMES = ("a", "b", "c")
_keys = st.sampled_from(NAMES)
_texts = st.sampled_from(["x", "y", "1", "2"])
_versions = st.sampled_from([None, None, 0, 1, 2])
_numbers = st.integers(-2, 3)


def _params(op: str) -> st.SearchStrategy[dict[str, Any]]:
    fields: dict[str, Any] = {"key": _keys}
    if op in ("put", "append"):
        fields["value"] = _texts
    if op == "increment":
        fields["by"] = _numbers
    if op in ("put", "delete"):
        fields["if_version"] = _versions
    return st.fixed_dictionaries(fields).map(lambda them: {n: it for n, it in them.items() if it is not None})


WRITES = ("put", "append", "append", "increment", "increment", "delete")
_op = st.sampled_from((*WRITES, "get")).flatmap(lambda op: _params(op).map(lambda params: {"op": op, **params}))
_check = st.fixed_dictionaries({"key": _keys, "version": st.integers(0, 2)})
_txn = st.fixed_dictionaries(
    {"checks": st.lists(_check, max_size=1), "ops": st.lists(_op, min_size=2, max_size=4)}
).filter(lambda txn: any(op["op"] != "get" for op in txn["ops"]))
_simple = st.sampled_from(WRITES).flatmap(lambda op: _params(op).map(lambda params: (f"kv.{op}", params)))
calls = st.one_of(_simple, _simple, _txn.map(lambda txn: ("kv.txn", txn)))
seqs = st.one_of(st.integers(1, SEQ_MAX), st.integers(1, SEQ_MAX), st.sampled_from([1024, 1025, 1030]))
lags = st.sampled_from([None, None, None, 1, 2, 0])
"""How far `acked` is behind the seq; 0 is too near."""
whiches = st.sampled_from([0, 0, 0, 1, 1, 2, 3])
"""Of the sessions: mostly one of those that each example begins with; 3 never was."""
