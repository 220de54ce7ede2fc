import io
import json
import threading

import pytest

from oncekv.kv.errors import VersionMismatch
from oncerpc.client.api.history import History
from oncerpc.client.outcome import Attempt, Failed, Ok, Unknown

ATTEMPTS = (Attempt(1, "l", 0.0, 0.1, "timed out"), Attempt(2, "l", 0.2, 0.1, "ok"))


@pytest.fixture
def target():
    """A file in memory."""
    return io.BytesIO()


def events(target):
    """The lines as objects."""
    return [json.loads(line) for line in target.getvalue().splitlines()]


def test_an_event_has_the_members_of_the_protocol(target):
    """Index, time, process, type, f, key, value and call, and what the completion knows."""
    clock = iter([1000, 1500, 1700])
    history = History(target, clock_ns=lambda: next(clock))
    history.invoke("w", "append", "k", "x", "c3-17").ok("x", version=1, offset=0, attempts=2)
    same = {"process": 0, "f": "append", "key": "k", "value": "x", "call": "c3-17"}
    assert events(target) == [
        {"index": 0, "time": 500, "type": "invoke", **same},
        {"index": 1, "time": 700, "type": "ok", **same, "version": 1, "offset": 0, "attempts": 2},
    ]


def test_a_process_that_ended_in_info_goes_on_under_a_new_number(target):
    """An unknown operation may still take effect, so nothing later happens in its process."""
    history = History(target, workers=2)
    assert history.invoke(0, "get", "k").process == 0
    operation = history.invoke(1, "put", "k", "x")
    operation.info("timed out")
    renewed = history.invoke(1, "put", "k", "y")
    assert (operation.process, renewed.process) == (1, 2)
    renewed.fail("refused")
    assert history.invoke(1, "put", "k", "z").process == 2
    assert history.invoke("late", "get", "k").process == 3


@pytest.mark.parametrize(
    ("f", "argument", "outcome", "expected"),
    [
        ("get", None, Ok({"value": None, "version": 0}), ("ok", None, {"version": 0})),
        ("increment", 2, Ok({"value": 7, "version": 3}), ("ok", 7, {"version": 3})),
        ("append", "x", Ok({"version": 1, "offset": 4}), ("ok", "x", {"version": 1, "offset": 4})),
        ("delete", None, Ok({"deleted": True}), ("ok", True, {})),
        ("put", "x", Failed(VersionMismatch("no")), ("fail", "x", {"error": "version_mismatch: no"})),
        ("put", "x", Unknown("late"), ("info", "x", {"error": "late"})),
    ],
    ids=["get", "increment", "append", "delete", "failed", "unknown"],
)
def test_an_outcome_of_the_client_becomes_the_completion(target, f, argument, outcome, expected):
    """What the caller was told is what the checker reads: values, versions, offsets, and how many attempts."""
    history = History(target)
    object.__setattr__(outcome, "attempts", ATTEMPTS)
    history.invoke(0, f, "k", argument).complete(outcome)
    kind, value, facts = expected
    completion = events(target)[1]
    assert (completion["type"], completion["value"], completion["attempts"]) == (kind, value, 2)
    assert {name: completion[name] for name in facts} == facts


def test_fault_begin_and_end_stand_in_the_same_file(target):
    """The nemesis is a process of its own, and its events are info."""
    history = History(target)
    history.nemesis("partition", "begin")
    assert events(target)[0] | {"time": 0} == {
        "index": 0, "time": 0, "process": "nemesis", "type": "info", "f": "partition", "value": "begin",
    }  # fmt: skip


def test_completing_twice_or_overlapping_in_one_process_is_a_programmer_error(target):
    """A history that no real process could have had is refused while it is written."""
    history = History(target)
    operation = history.invoke(0, "get", "k")
    with pytest.raises(AssertionError):
        history.invoke(0, "get", "k")
    operation.ok("x")
    with pytest.raises(AssertionError):
        operation.ok("x")


def test_the_order_of_the_lines_is_the_order_of_index_and_time(target):
    """Many threads, one order: indexes have no gap, times never fall, and every invoke stands before its end."""
    history = History(target)

    def work(worker):
        for _ in range(50):
            history.invoke(worker, "get", "k").ok(None)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    found = events(target)
    assert [event["index"] for event in found] == list(range(600))
    assert [event["time"] for event in found] == sorted(event["time"] for event in found)
    is_open = dict.fromkeys(range(6), False)
    for event in found:
        assert is_open[event["process"]] == (event["type"] == "ok")
        is_open[event["process"]] = event["type"] == "invoke"


def test_every_event_is_in_the_file_before_the_operation_goes_on(tmp_path):
    """A crash of the process loses at most the last line."""
    path = tmp_path / "h.jsonl"
    with History(path) as history:
        operation = history.invoke(0, "get", "k")
        assert len(path.read_bytes().splitlines()) == 1
        operation.ok("x")
        assert len(path.read_bytes().splitlines()) == 2


def test_an_old_history_is_not_overwritten(tmp_path):
    """The history of a failed run is evidence."""
    path = tmp_path / "h.jsonl"
    path.write_text("evidence")
    with pytest.raises(FileExistsError):
        History(path)
    assert path.read_text() == "evidence"
