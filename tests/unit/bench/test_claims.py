from __future__ import annotations

from bench.concurrency import blocked, idle
from bench.concurrency.claims import claims_text
from bench.concurrency.names import BLOCKED, EVENTS, IDLE, SLOW, THREADS
from bench.report.result_set import Part, ResultSet


def _result_set(tmp_path, *parts: Part) -> ResultSet:
    result_set = ResultSet(tmp_path / "c.json", {"machine": {"cores": 2}})
    for part in parts:
        result_set.part(part)
    return result_set


def test_a_claim_that_was_not_measured_is_not_judged(tmp_path):
    """No figures, no paragraph."""
    assert claims_text(_result_set(tmp_path)) == ""


def test_calls_that_do_not_overlap_do_not_pass_for_io_concurrency(tmp_path):
    """The known-bad twin: a curve that stays flat is not here; one that grows is held."""
    part = Part(SLOW, "", "calls/s")
    for count, threads, events in ((1, 50, 50), (8, 400, 55), (64, 3000, 50)):
        part.add(THREADS, f"{count} connections", threads)
        part.add(EVENTS, f"{count} connections", events)
    said = claims_text(_result_set(tmp_path, part))
    assert "threads **held**: 50.0 calls/s with 1 connection, 3,000 with 64 (60.0×; it grows all the way)" in said
    assert "event-loop **not here**" in said
    assert "it bends at 1" in said


def test_one_long_wait_is_everyone_waits(tmp_path):
    """Decided by the longest of the others' reads: a stall is rare in a count and long in time."""
    part = Part(BLOCKED, "", "")
    for model, longest in ((THREADS, 20), (EVENTS, 900)):
        part.add(blocked.row(model, 16), blocked.P99, 5)
        part.add(blocked.row(model, 16), blocked.LONGEST, longest)
    said = claims_text(_result_set(tmp_path, part))
    assert "threads, 16 blocked: “the others go on” **held**" in said
    assert "event-loop, 16 blocked: “everyone waits” **held**" in said


def test_idle_connections_are_compared_only_where_there_are_two_models(tmp_path):
    """With one model there is nothing to hold against it."""
    part = Part(IDLE, "", "")
    part.add("threads, 1,000 connections", idle.BYTES, 10_000)
    part.add("threads, 1,000 connections", idle.THREADS_MORE, 0)
    assert "no other model" in claims_text(_result_set(tmp_path, part))
    part.add("event-loop, 1,000 connections", idle.BYTES, 4_000)
    part.add("event-loop, 1,000 connections", idle.THREADS_MORE, 0)
    assert "**held**: threads: 10,000 bytes" in claims_text(_result_set(tmp_path, part))
