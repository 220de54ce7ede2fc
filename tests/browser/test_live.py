"""The live page in a real Chromium: a person breaks calls of real clients and looks at what comes of it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.support.browser import Browser
from tests.support.live import LiveProcess, Person


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveProcess]:
    """One world for all tests of this file."""
    with LiveProcess(tmp_path_factory.mktemp("live")) as live:
        yield live


@pytest.fixture
def person(chromium: Browser, live: LiveProcess) -> Person:
    """At an empty world that runs."""
    return Person(chromium, live)


def test_a_lost_reply_is_answered_from_the_record(person: Person) -> None:
    """At most once: the reply is clicked away; the next attempt is a replay, its row is lit, and nothing ran twice."""
    person.begin("at-most-once")
    call = person.loses("reply")
    person.sees("#sentence", f"The reply of {call} is lost")
    person.chooses("#records-client", call.partition("-")[0])
    person.sees("#records tr.hit", call)
    person.sees(".message.reply.replayed", call)
    person.sees(f"[data-client='{call.partition('-')[0]}'] .told", "replay")
    person.picture("replay")
    person.sees("#records tr.gone", call)
    assert person.number("#doubled") == 0
    assert person.number(".server .replays dd") >= 1
    assert "lose the reply of" in person.text("#log li")
    assert person.text("#log li code").startswith("curl ")
    assert person.browser.complaints == []


def test_a_lost_reply_doubles_an_effect_at_least_once(person: Person) -> None:
    """The same without a record: it runs again, and the store holds more than the callers count as done."""
    person.begin("exactly-once")
    person.chooses("#semantics", "at-least-once")
    person.sees("#sentence", "at-least-once")
    person.browser.wait_for("document.querySelectorAll('.message').length === 0")
    call = person.loses("reply")
    person.sees(".server .answers .again", call)
    person.browser.wait_for("Number(document.getElementById('doubled').textContent) === 1")
    person.sees("#verdict", "1 call has run more than once")
    assert person.number("#effects") > person.number("#done")
    person.picture("doubled")
    assert person.browser.complaints == []


def test_a_server_is_killed_and_comes_back(person: Person) -> None:
    """Killed, a request finds nobody; started again, the call is answered. Paused, it answers nothing."""
    person.begin("exactly-once")
    person.browser.click("[data-server='s0'] [data-do='kill']")
    person.sees("[data-server='s0'] .state", "down")
    person.sees(".message.gone .end", "refused")
    person.picture("killed")
    done = person.number("#done")
    person.browser.click("[data-server='s0'] [data-do='restart']")
    person.sees("[data-server='s0'] .state", "up")
    person.browser.wait_for(f"Number(document.getElementById('done').textContent) > {done}")
    person.browser.click("[data-server='s0'] [data-do='pause']")
    person.sees("[data-server='s0'] .state", "paused")
    person.browser.click("[data-server='s0'] [data-do='resume']")
    person.sees("[data-server='s0'] .state", "up")
    assert person.browser.complaints == []


def test_a_cut_link_stops_messages_at_the_cut(person: Person) -> None:
    """Replies cut: they go in and do not come out, both counts say so; healed, the call is answered."""
    person.begin("exactly-once")
    person.chooses("[data-link-state='c1']", "cut-down")
    person.sees("#sentence", "cut for replies")
    person.sees(".message.gone .end", "cut off")
    counts = "[...document.querySelectorAll('.rails [data-key=c1] .count')].map(one => one.textContent)"
    going_in, coming_out = person.browser.ask(f"{counts}.slice(2)")
    assert int(going_in.split()[0]) > int(coming_out.split()[0])
    person.picture("cut")
    person.chooses("[data-link-state='c1']", "open")
    person.sees("[data-client='c1'] .told[data-told=ok]")
    assert person.browser.complaints == []


def test_a_call_is_gone_through_step_by_step(person: Person) -> None:
    """Nothing moves by itself; each step says what happened, what each side knows, and what nobody knows."""
    person.begin("at-most-once", rate=100)
    person.browser.click("#pace-step")
    person.browser.wait_for("document.getElementById('pace-step').ariaPressed === 'true'")
    said = set()
    for _ in range(20):
        before = person.browser.ask("document.getElementById('sentence').dataset.event")
        person.browser.click("#step")
        person.browser.wait_for(f"document.getElementById('sentence').dataset.event !== '{before}'")
        said.add(person.text("#sentence"))
        knows = person.browser.ask("document.querySelectorAll('#knowledge > :not([hidden])').length")
        if len(said) >= 6 and knows == 3 and person.browser.ask("document.querySelectorAll('.waiting').length"):
            break
    else:
        raise AssertionError(said)
    person.picture("step")
    assert person.browser.complaints == []


def test_one_looks_back_and_returns(person: Person) -> None:
    """The range goes back to what was: the figures are those of then, and nothing can be done to it; Now is now."""
    person.begin("exactly-once", travel_ms=150, rate=5)
    person.browser.wait_for("Number(document.getElementById('done').textContent) >= 4")
    n, then = person.browser.ask(
        "[document.documentElement.dataset.shownEvent, Number(document.getElementById('done').textContent)]"
    )
    person.browser.wait_for("Number(document.getElementById('done').textContent) >= 10")
    person.browser.ask(
        f"(range => {{ range.value = {n}; range.dispatchEvent(new Event('input')); }})"
        "(document.getElementById('timeline'))"
    )
    person.sees("#connection", "looking back")
    assert person.number("#done") == then
    middle = person.browser.ask("document.documentElement.dataset.shownEvent")
    person.browser.wait_for(
        "Number(document.getElementById('timeline').max) > document.documentElement.dataset.shownEvent"
    )
    assert person.browser.ask("document.documentElement.dataset.shownEvent") == middle, "the past does not move"
    assert person.number("#done") == then
    person.picture("looking-back")
    person.browser.click("[data-server='s0'] [data-do='kill']")
    person.sees("#notice", "looking back")
    person.browser.click("#now")
    person.browser.wait_for("Number(document.getElementById('done').textContent) >= 10")
    assert person.text("#connection") == "live"
    assert person.text("[data-server='s0'] .state") == "● up"
    assert person.browser.complaints == []


@pytest.mark.long
@pytest.mark.alone
def test_as_fast_as_the_clients_go(person: Person) -> None:
    """Real messages in great number: the page keeps up with the journal, and frames over 50 ms are few."""
    person.begin("at-least-once", travel_ms=2, rate=100)
    person.browser.wait_for("Number(document.querySelector('.server .attempts dd').textContent) > 50")
    before, began_s = person.number(".server .attempts dd"), time.monotonic()
    long, frames = person.stutters(3.0)
    passed_s = time.monotonic() - began_s
    print(f"{2 * (person.number('.server .attempts dd') - before) / passed_s:.0f} messages a second")
    assert person.number(".server .attempts dd") > before
    assert long <= frames / 2, "a busy machine is no finding; a page that stands still is"
    assert person.browser.complaints == []


def test_a_chapter_of_the_tour_plays_and_is_ended(person: Person) -> None:
    """A click begins it: its title, its sentence, what each side knows; ended, the next is offered."""
    person.begin("at-most-once", travel_ms=300)
    person.browser.click("[data-scene='remember']")
    person.sees("#scene-title", "Remember · 1 of")
    person.sees("[data-scene='remember'][aria-current='true']")
    person.reads(1)
    person.browser.click("#scene-next")
    person.reads(2)
    person.sees("#knowledge dd")
    person.picture("tour")
    person.browser.click("#end-scene")
    person.browser.wait_for("document.getElementById('scene-title').hidden")
    person.sees("#scene-on", "Forget safely")
    assert person.browser.complaints == []


@pytest.mark.long
@pytest.mark.alone
def test_the_picture_of_the_readme(person: Person) -> None:
    """At least once, replies lost by hand: the store holds more than the callers count, and the picture shows why."""
    person.begin("at-least-once", travel_ms=400, rate=100)
    for _ in range(3):
        person.loses("reply")
    person.browser.wait_for("Number(document.getElementById('done').textContent) >= 24")
    person.browser.wait_for("Number(document.getElementById('doubled').textContent) >= 3")
    person.loses("reply")
    person.sees(".message.retry.request", "try 2")
    person.act("pace", mode="slow")
    person.browser.size(1280, 872, scale=2)
    person.sees(".answers li:nth-child(-n+3).again", "ran again")
    person.loses("reply")
    person.picture("readme")
    assert person.number("#effects") >= person.number("#done") + 3
    assert person.browser.complaints == []
