"""What tells a retry from another call, pinned: records outlive the release that wrote them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from oncekv.kv.methods import all_methods
from oncerpc.wire.fingerprint import fingerprint


def _of(method: str, params: dict[str, Any]) -> str:
    return fingerprint(method, msgspec.convert(params, all_methods()[method].params)).hex()


@pytest.mark.parametrize(
    ("method", "params", "pinned"),
    [
        ("kv.append", {"key": "k", "value": "x"}, "9799bb78e4964fa742b83423d5160dbf"),
        ("kv.increment", {"key": "k"}, "5094c478bafc28d8f79d8d00e2339734"),
        ("kv.put", {"key": "k", "value": "x", "if_version": 3}, "2d5d3512f8d70d8fa8c437955bfcc190"),
        (
            "kv.txn",
            {"ops": [{"op": "increment", "key": "k"}, {"op": "delete", "key": "d"}]},
            "84266d0ddea9b49072e3b7c100cd3695",
        ),
        ("session.open", {}, "e5617988f86dc03823bf5d08c54375fe"),
    ],
)
def test_a_fingerprint_is_the_same_in_every_release(method: str, params: dict[str, Any], pinned: str) -> None:
    """If this fails, retries over an upgrade would be refused as identity_reused: do not change the pin."""
    assert _of(method, params) == pinned


def test_defaults_and_order_make_no_other_call() -> None:
    """Equal as JSON values after defaults is equal."""
    assert _of("kv.increment", {"key": "k"}) == _of("kv.increment", {"by": 1, "key": "k"})
    ops = [{"op": "put", "key": "k", "value": "x"}]
    assert _of("kv.txn", {"ops": ops}) == _of("kv.txn", {"checks": [], "ops": [{**ops[0], "if_version": None}]})
    assert _of("kv.increment", {"key": "k"}) != _of("kv.increment", {"key": "k", "by": 2})
