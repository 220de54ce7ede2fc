"""The kept inputs, each once; and the fuzzer itself for a short time, from where they have come."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.bugs.base import replaced
from tests.fuzz.campaign import Campaign, kept
from tests.fuzz.targets import TARGETS, Finding
from tests.support.seed import SEED

SECONDS = 20
needs_atheris = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None,
    reason="NO ATHERIS: it is published for Linux on x86-64 and Python up to 3.13 alone",
)


@pytest.mark.parametrize("target", TARGETS)
def test_the_kept_inputs(target: str) -> None:
    """Whatever was once found, or reached a place of its own, is served as it should be."""
    inputs = kept(target)
    assert len(inputs) > 20
    for place in inputs:
        TARGETS[target](place.read_bytes())


@pytest.mark.long
@needs_atheris
@pytest.mark.parametrize("target", TARGETS)
def test_the_fuzzer_finds_nothing(target: str, tmp_path: Path) -> None:
    """In a short time, with another seed for each run of the tests."""
    campaign = Campaign(target, tmp_path)
    campaign.start(SECONDS, SEED % 2**31 or 1)
    run = campaign.end(SECONDS)
    print(run)
    assert run.good, (run.findings, run.words)
    assert run.executions > 500
    assert run.coverage > 300


BODIES = (b'{"jsonrpc":"2.0","id":[1],"method":"kv.get"}', b'{"jsonrpc":"2.0","id":1,"method":"kv.get","params":{}}')


@pytest.mark.parametrize("body", BODIES)
def test_a_failure_of_the_servers_own_is_a_finding(body: bytes) -> None:
    """Planted: a check of a request's form that takes everything for an object with a method."""
    from oncerpc.wire import jsonrpc

    with (
        replaced(jsonrpc, _request=lambda member: jsonrpc.Request([1], member["method"] + 1, None, False)),
        pytest.raises(Finding),
    ):
        TARGETS["envelope"](body)
    TARGETS["envelope"](body)
