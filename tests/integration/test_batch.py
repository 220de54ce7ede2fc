"""Batches against the real server: larger than one request, and more of them at a time than a window has places."""

import random
import threading
import time
from functools import partial
from urllib.parse import urlsplit

import pytest

from chaos.runtime.links import Links
from chaos.runtime.toxiproxy import Toxiproxy
from oncekv.client import Environment, Ok, RetryPolicy, connect
from oncerpc.client.transport.http import HttpTransport
from tests.support.seed import unique
from tests.support.waiting import at_once

TOKENS = [f"[{number}]" for number in range(600)]


@pytest.fixture
def link(armed):
    """A link to the shared server over a Toxiproxy of our own."""
    with Toxiproxy() as toxiproxy:
        upstream = urlsplit(armed.server.url).netloc
        yield Links("127.0.0.1", toxiproxy.port).make("batch", upstream)


class SwallowsOneReply(HttpTransport):
    """Real HTTP; while the second POST of a batch is under way, the link lets no reply by."""

    def __init__(self, link):
        super().__init__()
        self._link = link
        self.batches = 0

    def post(self, url, body, headers, timeout_s):
        """One attempt."""
        self.batches += body.startswith(b"[")
        is_broken = self.batches == 2 and body.startswith(b"[")
        if is_broken:
            self._link.add("timeout", "downstream", timeout=0)
        try:
            return super().post(url, body, headers, timeout_s)
        finally:
            if is_broken:
                self._link.heal()


@pytest.mark.parametrize("semantics", ["at-most-once", "exactly-once"])
def test_a_lost_reply_in_the_middle_of_a_large_batch_changes_nothing(link, tmp_path, semantics):
    """The middle portion ran and goes out again, answered from its records; then the last one; all in their order."""
    key = unique()
    http = SwallowsOneReply(link)
    environment = Environment(http, time.monotonic, threading.Event().wait, random.uniform)
    retry = RetryPolicy(attempt_timeout_s=5.0)  # a portion that is not swallowed takes less on a busy machine too
    with connect(
        link.url, semantics=semantics, outbox=tmp_path / "o", environment=environment, retry=retry, timeout_s=60
    ) as kv:
        with kv.batch() as batch:
            later = [batch.append(key, token) for token in TOKENS]
        outcomes = [one.outcome for one in later]
        assert {type(outcome) for outcome in outcomes} == {Ok}
        assert [outcome.replayed for outcome in outcomes if isinstance(outcome, Ok)] == (
            [False] * 250 + [True] * 250 + [False] * 100
        )
        assert {attempt.result for attempt in outcomes[250].attempts} == {"timed out", "ok (replayed)"}
        row = kv.get(key)
    assert (row.value, row.version, http.batches) == ("".join(TOKENS), len(TOKENS), 4)


@pytest.mark.parametrize("semantics", ["at-most-once", "exactly-once"])
def test_more_batches_at_a_time_than_the_window_holds_all_end(node, tmp_path, semantics):
    """32 threads, 100 calls each: they wait for places in turn. Each of them runs once, and each batch in its order."""
    key = unique()
    with connect(node.server.url, semantics=semantics, outbox=tmp_path / "o", timeout_s=60) as kv:

        def work(thread):
            for turn in range(2):
                with kv.batch() as batch:
                    later = [batch.append(key, f"[{thread}.{turn}.{number}]") for number in range(100)]
                offsets = [one.result().offset for one in later]
                assert offsets == sorted(offsets)

        at_once([partial(work, thread) for thread in range(32)], 120.0)
        row = kv.get(key)
    found = (row.value or "").removesuffix("]").split("]")
    assert (len(found), len(set(found)), row.version) == (6400, 6400, 6400)
