"""The pace of the live page: time runs, runs slowly, stands still, or goes from one moment to the next."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from chaos.live.pace import PAUSE, RUN, SLOW, STEP, Pace, Waiter
from tests.support.waiting import in_background, until


@pytest.fixture
def pace() -> Iterator[Pace]:
    """That runs."""
    found = Pace(travel_ms=100)
    yield found
    found.close()


def test_who_waits_goes_on_when_the_time_has_come(pace: Pace) -> None:
    """In the order of their times, whoever came first."""
    ended: list[str] = []
    late = pace.begin(0.10, "late", then=lambda: ended.append("late"))
    early = pace.begin(0.02, "early", then=lambda: ended.append("early"))
    assert early.wait()
    assert late.wait()
    assert ended == ["early", "late"]


def test_in_slow_motion_time_is_four_times_as_long(pace: Pace) -> None:
    """And a message is said to travel as long as people see it travel."""
    pace.set(SLOW)
    assert pace.travel_ms == 400
    began_s = time.monotonic()
    assert pace.wait(0.05, "somebody")
    assert time.monotonic() - began_s >= 0.19


@pytest.mark.parametrize("mode", [PAUSE, STEP])
def test_time_stands_still(pace: Pace, mode: str) -> None:
    """Nobody's patience ends."""
    pace.set(mode)
    waiter = pace.begin(0.0, "somebody")
    at_s = pace.now_s()
    time.sleep(0.05)
    assert not waiter.is_over
    assert pace.now_s() == at_s
    pace.set(RUN)
    assert waiter.wait()


def test_a_step_lets_the_first_one_go_on_and_nobody_else(pace: Pace) -> None:
    """And time is then its time."""
    pace.set(STEP)
    second, first = pace.begin(20.0, "second"), pace.begin(10.0, "first", message="m1")
    assert pace.head() is first
    at_s = pace.now_s()
    assert pace.step() is first
    assert first.wait()
    assert not second.is_over
    assert pace.now_s() == pytest.approx(at_s + 10.0, abs=0.01)
    assert pace.step() is second
    assert pace.step() is None


def test_who_is_cancelled_is_told_so(pace: Pace) -> None:
    """At once, also while time stands still; but not once the time has come."""
    pace.set(PAUSE)
    waiter = pace.begin(10.0, "a message", message="m1")
    assert pace.cancel(waiter)
    assert not waiter.wait()
    assert not pace.cancel(waiter)
    assert pace.head() is None


def test_while_somebody_reads_time_stands_still_for_the_others(pace: Pace) -> None:
    """And then goes on from where it was."""
    message = pace.begin(0.05, "a message")
    reading = in_background(lambda: pace.read(0.2, "a sentence"))
    until(lambda: pace.is_held, what="the reader")
    at_s = pace.now_s()
    time.sleep(0.1)
    assert pace.now_s() == at_s
    assert not message.is_over
    assert reading.result(60)
    assert message.wait()


def test_while_a_scene_guides_steps_are_its_sentences(pace: Pace) -> None:
    """A sentence stays until it was read, and time runs to the next; the mode stays as it is."""
    pace.set("step")
    pace.guide(on=True)
    assert pace.wait(0.01, "a message")
    reader = threading.Thread(target=pace.read, args=(0.01, "a sentence"))
    reader.start()
    until(lambda: pace.is_held, what="the reader")
    message = pace.begin(0.0, "a message")
    reader.join(0.1)
    assert reader.is_alive()
    assert not message.is_over
    assert pace.read_on()
    reader.join(5)
    assert message.wait()
    assert not pace.read_on()
    assert pace.mode == "step"
    pace.guide(on=False)
    assert pace.rate == 0


def test_in_step_mode_the_reader_goes_on_with_the_next_step(pace: Pace) -> None:
    """Before any message."""
    pace.set(STEP)
    message = pace.begin(0.0, "a message")
    reading = in_background(lambda: pace.read(60.0, "a sentence"))
    until(lambda: pace.is_held, what="the reader")
    stepped = pace.step()
    assert stepped is not None
    assert stepped.what == "a sentence"
    assert reading.result(60)
    assert pace.step() is message


def test_closing_lets_everybody_go() -> None:
    """As cancelled, in whatever mode."""
    pace = Pace(travel_ms=100)
    pace.set(PAUSE)
    waiters: list[Waiter] = [pace.begin(100.0, "somebody") for _ in range(3)]
    reading = in_background(lambda: pace.read(100.0, "a sentence"))
    until(lambda: pace.is_held, what="the reader")
    pace.close()
    assert not any(waiter.wait() for waiter in waiters)
    assert not reading.result(60)
    assert not pace.wait(1.0, "too late")


def test_many_wait_at_once(pace: Pace) -> None:
    """Two hundred messages, and each is on time."""
    lateness: list[float] = []

    def travel() -> None:
        due_s = pace.now_s() + 0.05
        pace.wait(0.05, "a message")
        lateness.append(pace.now_s() - due_s)

    threads = [threading.Thread(target=travel) for _ in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(lateness) == 200
    assert sorted(lateness)[100] < 1.0
