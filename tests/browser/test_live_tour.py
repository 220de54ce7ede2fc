"""The guided tour in a real Chromium: sentences stay until they are read, are in sight, and agree with the picture."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.browser import Browser
from tests.support.live import LiveProcess, Person
from tests.support.repetitions import one_in

SEEN_WHOLE = """(selector => {
  const card = document.querySelector(selector).getBoundingClientRect();
  const said = document.querySelector('.said').getBoundingClientRect();
  return said.bottom <= innerHeight && card.top >= 0 && card.bottom <= said.top;
})"""
WATCH_ENDS = """(() => {
  const look = () => document.querySelectorAll('.message.gone .end').forEach(one => ends.add(one.textContent));
  window.ends = new Set();
  new MutationObserver(look).observe(document.getElementById('wires'), { subtree: true, childList: true });
})()"""
NOT_KNOWN = "[data-who=nobody]"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveProcess]:
    """A sentence stays for minutes, so that only Next ends it."""
    with LiveProcess(tmp_path_factory.mktemp("live"), "--travel-ms", "300", "--reading", "10") as live:
        yield live


@pytest.fixture
def person(chromium: Browser, live: LiveProcess) -> Iterator[Person]:
    """At a desk, at a world that runs."""
    person = Person(chromium, live)
    person.begin("at-least-once", travel_ms=300, rate=2)
    yield person
    person.act("end-scene")


def _shown(person: Person, frames: int = 30) -> None:
    """So many more frames."""
    before = person.browser.ask("Number(document.documentElement.dataset.frames)")
    person.browser.wait_for(f"document.documentElement.dataset.frames > {before + frames}")


@pytest.mark.parametrize("pace", one_in(2, ["step", "run"], "pace of a scene"))
def test_each_sentence_of_a_scene_stays_until_next(person: Person, pace: str) -> None:
    """By steps and in a run; Next goes to the next one and leaves the pace as it is; the last one stays too."""
    person.browser.click(f"#pace-{pace}")
    person.browser.click("[data-scene='send-it-again']")
    said = []
    for number in range(1, 6):
        said.append(person.reads(number))
        _shown(person)
        assert person.text("#sentence") == said[-1]
        assert person.browser.ask(f"document.getElementById('pace-{pace}').ariaPressed") == "true"
        if number == 5:
            person.picture(f"tour-doubled-{pace}")
            assert person.text(f"{NOT_KNOWN} dt") == "Not known"
            assert person.text(f"{NOT_KNOWN} dd").startswith("To the client: that it ran twice.")
        person.browser.click("#scene-next" if number < 5 else "#step")
    person.sees("#scene-on", "Go on: Remember")
    _shown(person)
    assert len(set(said)) == 5
    assert person.text("#sentence") == said[-1]
    assert person.browser.complaints == []


def test_the_store_shows_the_effects_of_each_call(person: Person) -> None:
    """Two of the doubled one, in words that are told too; and why there is no record."""
    person.browser.click("[data-scene='send-it-again']")
    for number in range(1, 5):
        person.reads(number)
        person.browser.click("#scene-next")
    person.reads(5)
    person.sees("#effects-of .doubled", "2 effects")
    assert "2 effects of c0-" in person.text("#effects-doubled")
    person.sees("#effects-of li:not(.doubled)", "1 effect")
    person.sees("#records-empty", "No records: under at-least-once the server remembers no call.")
    person.sees("#verdict", "1 call has run more than once")


def test_a_scene_begins_afresh_and_takes_the_place_of_another(person: Person) -> None:
    """A chapter that is clicked ends the one that plays; nothing of what was before stands in its score or store."""
    person.loses("reply")
    person.browser.wait_for("Number(document.getElementById('doubled').textContent) === 1")
    person.browser.wait_for("document.getElementById('notice').hidden")  # of a click that came too late for its message
    person.browser.click("[data-scene='crash']")
    person.reads(1)
    person.browser.click("[data-scene='remember']")
    person.sees("#scene-title", "Remember · 1 of 4")
    person.reads(1)
    assert person.browser.ask("document.getElementById('notice').hidden"), person.text("#notice")
    scores = {name: person.number(f"#{name}") for name in ("done", "effects", "doubled", "unknown", "lost")}
    assert set(scores.values()) == {0}, scores
    assert person.browser.ask("document.querySelectorAll('#records tbody tr, #effects-of li').length") == 0
    assert person.browser.complaints == []


@pytest.mark.parametrize(
    ("width", "height", "dark"),
    one_in(4, [(390, 844, False), (390, 844, True), (1366, 657, False), (1280, 860, True)], "size of the page"),
)
def test_the_sentence_and_the_client_that_plays_are_in_sight(
    person: Person, width: int, height: int, dark: bool
) -> None:
    """Without scrolling; on a phone the sentence alone, the rest behind a button. The scene loses, not you."""
    person.browser.size(width, height, dark=dark)
    person.browser.click("[data-scene='nothing-comes-back']")
    person.reads(1)
    person.browser.click("#scene-next")
    person.reads(2)
    assert person.browser.ask(f"{SEEN_WHOLE}('[data-client=c0].card')")
    person.picture(f"tour-{width}x{height}-{'dark' if dark else 'light'}")
    person.browser.ask(WATCH_ENDS)
    person.browser.click("#scene-next")
    person.reads(3)
    assert person.browser.ask("[...window.ends]") == ["lost"]
    if width < 760:
        person.browser.wait_for("!document.getElementById('knowledge').checkVisibility()")
        person.browser.click("#knows")
        person.sees("#knowledge dd", "No reply came in time.")
    assert person.browser.ask("document.documentElement.scrollWidth") == width
    assert person.browser.complaints == []


def test_the_last_scene_shows_what_it_says_and_hands_over(person: Person) -> None:
    """The server is drawn down while it is said to be, its store is empty when it is; then one breaks calls oneself."""
    person.browser.size(1366, 657)
    person.browser.click("[data-scene='never-comes-back']")
    person.reads(1)
    person.sees("#effects-of li", "1 effect")
    person.browser.click("#scene-next")
    assert person.reads(2).startswith("The server is down.")
    person.sees("[data-server='s0'] .state", "down")
    person.sees("#effects-of li", "1 effect")
    person.picture("tour-down")
    person.browser.click("#scene-next")
    assert person.reads(3).startswith("The server and its disk are gone.")
    person.browser.wait_for("document.querySelectorAll('#effects-of li').length === 0")
    person.picture("tour-gone")
    person.browser.click("#scene-next")
    person.reads(4)
    assert person.text("#sentence code") == "make live LIVE_ARGS='--store postgres'"
    person.browser.click("#scene-next")
    person.sees("#scene-on", "Now break it yourself")
    person.picture("tour-end")
    person.browser.click("#scene-on")
    person.sees("#workload", "Stop the calls")
    person.sees(".message")
    assert person.browser.complaints == []
