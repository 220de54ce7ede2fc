"""The live page for every reader: by keyboard, on a phone, in the dark, without motion; opened, lost and back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.browser import Browser
from tests.support.crowd import crowded_run
from tests.support.live import LiveProcess, Person

LINK = "[data-link='c0'].lane"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveProcess]:
    """One world for all tests of this file."""
    with LiveProcess(tmp_path_factory.mktemp("live"), "--travel-ms", "600", "--rate", "2") as live:
        yield live


@pytest.fixture
def person(chromium: Browser, live: LiveProcess) -> Person:
    """At the page, whatever its world does."""
    person = Person(chromium, live)
    chromium.size(1280, 860)
    person.open(f"?{id(person)}")
    person.act("pace", mode="run", travel_ms=600)
    person.act("workload", state="running", rate=2)
    chromium.complaints.clear()
    return person


def tab_to(person: Person, what: str) -> None:
    """Press Tab until the focus is on what matches."""
    for _ in range(150):
        if person.browser.ask(f"document.activeElement.matches({json.dumps(what)})"):
            return
        person.browser.press("Tab")
    raise AssertionError(f"Tab never comes to {what}")


def test_the_keyboard_alone_loses_a_message(person: Person) -> None:
    """Tab to Pause, then to a message, Enter: it is lost; the focus stays upon its link, where Enter loses the next."""
    browser = person.browser
    tab_to(person, "#pace-pause")
    browser.wait_for("document.querySelector('.message[tabindex]')")
    browser.press(" ")
    browser.wait_for("document.getElementById('pace-pause').ariaPressed === 'true'")
    tab_to(person, ".message")
    assert "Enter loses it" in browser.ask("document.activeElement.getAttribute('aria-label')")
    message, link = browser.ask(
        "(one => [one.dataset.message, one.querySelector('.name').textContent.split('-')[0]])(document.activeElement)"
    )
    person.picture("keyboard")
    browser.press("Enter")
    browser.wait_for(f"document.activeElement.matches('[data-link={link}].lane')")
    browser.wait_for(f"!document.querySelector('[data-message={message}][tabindex]')")
    assert "lose the" in person.text("#log li")
    person.act("pace", mode="run")
    person.sees(".message[tabindex]")
    assert browser.ask(f"document.activeElement.matches('[data-link={link}].lane')")
    assert browser.complaints == []


def test_the_focus_stays_while_everything_moves(person: Person) -> None:
    """Events come in and the page is drawn again and again; who stands on a control stays there."""
    tab_to(person, "[data-do='pause']")
    before = person.browser.ask("Number(document.documentElement.dataset.lastEvent)")
    person.browser.wait_for(f"document.documentElement.dataset.lastEvent > {before} + 20")
    assert person.browser.ask("document.activeElement.matches('[data-do=pause]')")
    person.browser.press("Enter")
    person.sees("[data-server='s0'] .state", "paused")
    assert person.browser.ask("document.activeElement.matches('[data-do=resume]')")
    person.browser.press("Enter")
    person.sees("[data-server='s0'] .state", "up")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_fits_on_a_phone(person: Person, dark: bool) -> None:
    """At 390 pixels nothing scrolls sideways, and every control is within the window's width and large enough."""
    browser = person.browser
    browser.size(390, 844, dark=dark)
    browser.wait_for("document.querySelector('.message[tabindex]')")
    assert browser.ask("document.documentElement.scrollWidth") == 390
    outside = (
        "[...document.querySelectorAll('button, select, input, a:not(.skip), .message')]"
        ".filter(one => one.checkVisibility() && (r => r.left < 0 || r.right > 390.5)(one.getBoundingClientRect()))"
        ".map(one => one.outerHTML.slice(0, 80))"
    )
    browser.wait_for(f"{outside}.length === 0")
    person.picture(f"phone-{'dark' if dark else 'light'}", whole=True)
    assert browser.complaints == []


def test_dark_and_light_have_their_own_colours(person: Person) -> None:
    """Each with a picture."""
    colours = []
    for dark in (False, True):
        person.browser.size(1280, 860, dark=dark)
        person.browser.wait_for("document.querySelectorAll('.message').length > 1")
        colours.append(person.browser.ask("getComputedStyle(document.body).backgroundColor"))
        person.picture("dark" if dark else "light")
    assert len(set(colours)) == 2


def test_without_motion_messages_stand_on_their_wire(person: Person) -> None:
    """With prefers-reduced-motion a message has one place from its beginning to its end, and can be clicked there."""
    browser = person.browser
    browser.size(1280, 860, still=True)
    # From its first frame to its last: one that sets out while we look.
    places, frames = browser.ask(
        "(async () => { const frame = () => new Promise(requestAnimationFrame), seen = new Set(); let one, frames = 0;"
        " const there = () => document.querySelectorAll('.message'), old = new Set(there());"
        " while (!(one = [...there()].find(message => !old.has(message)))) await frame();"
        " for (; one.hasAttribute('tabindex'); frames += 1) { seen.add(one.getAttribute('transform')); await frame(); }"
        " return [[...seen], frames]; })()"
    )
    assert len(places) == 1, places
    assert frames > 3
    person.loses("request")
    person.picture("reduced-motion")
    assert browser.complaints == []


def test_a_run_is_saved_opened_and_played(person: Person, tmp_path: Path) -> None:
    """What Save gives is opened again by the page alone: it plays, is looked back at, and nothing can be done to it."""
    browser = person.browser
    browser.wait_for("Number(document.getElementById('done').textContent) >= 3")
    saved = tmp_path / "oncekv-live-saved.jsonl"
    saved.write_text(browser.ask("fetch(document.getElementById('save').href).then(answer => answer.text())"))
    last = json.loads(saved.read_text().splitlines()[-1])["n"]
    browser.choose_file("#open-file", saved)
    person.sees("#connection", "opened file oncekv-live-saved.jsonl")
    browser.wait_for("document.querySelector('.message')")
    browser.ask("document.getElementById('timeline').focus()")
    browser.press("End")
    browser.wait_for(f"document.documentElement.dataset.shownEvent === '{last}'")
    assert person.number("#done") >= 3
    person.picture("opened")
    browser.click("[data-server='s0'] [data-do='kill']")
    person.sees("#notice", "saved run")
    browser.press("Home")
    browser.click("#back")
    person.sees("#connection", "live")
    assert browser.complaints == []


LOOK_BACK = """(async () => {
  const { Run } = await import('/static/run.js');
  const { emptyState, reduce } = await import('/static/reduce.js');
  const plain = (key, value) => value instanceof Map ? [...value] : value;
  const events = (await (await fetch('/journal')).text()).trim().split('\\n').map(line => JSON.parse(line));
  const more = events.slice(1);
  while (events.length < 25000) for (const event of more) events.push({ ...event, n: events.at(-1).n + 1 });
  const run = new Run();
  for (const event of events.slice(0, 3000)) run.add(event);
  const wrong = [];
  for (const at of [1, 499, 500, 501, 2999, 17, 1500, 1499, 2200, 2]) {
    run.seek(events[at - 1].n);
    const fold = events.slice(0, at).reduce(reduce, emptyState());
    if (JSON.stringify(run.shown, plain) !== JSON.stringify(fold, plain)) wrong.push(at);
  }
  for (const event of events.slice(3000)) run.add(event);
  run.seek(0);
  return { wrong, kept: run.events.length, shown: run.shown.n >= run.first - 1, last: run.last === events.at(-1).n };
})()"""


def test_looking_back_is_folding_the_events_from_their_beginning(person: Person) -> None:
    """Whichever way one goes to a moment, its state is the fold of all events up to it; memory has a bound."""
    found = person.browser.ask(LOOK_BACK)
    assert found["wrong"] == []
    assert found["kept"] <= 24_000
    assert found["shown"]
    assert found["last"]


def test_what_is_no_saved_run_is_told_in_words(person: Person, tmp_path: Path) -> None:
    """A cut file is shown as far as it goes; a foreign one, an empty one, a damaged one: what it is and what to do."""
    browser = person.browser
    text: str = browser.ask("fetch('/journal').then(answer => answer.text())")
    lines = text.splitlines()
    bad = {
        "empty": ("", "is empty"),
        "foreign": ('{"hello": 1}\n', "Choose a file named oncekv-live-"),
        "picture": ("\x89PNG\r\n", "Choose a file named oncekv-live-"),
        "newer": (lines[0].replace("oncekv-live/1", "oncekv-live/9") + "\n", "Open it with the version that saved it"),
        "damaged": ("\n".join([lines[0], "{", *lines[1:]]) + "\n", "Line 2 is damaged"),
        "poisoned": (lines[0] + '\n{"n": 9, "t": 1, "type": "record", "server": {}}\n', "`server` of `record`"),
    }
    for name, (content, words) in bad.items():
        path = tmp_path / f"{name}.jsonl"
        path.write_text(content)
        browser.choose_file("#open-file", path)
        person.sees("#notice", words)
        assert person.text("#connection") == "live", f"{name} was opened"
    cut = tmp_path / "cut.jsonl"
    cut.write_text("\n".join([*lines[: len(lines) // 2], '{"n": 1']))
    browser.choose_file("#open-file", cut)
    person.sees("#notice", "The file is cut")
    person.sees("#connection", "opened file cut.jsonl")
    person.picture("cut-file")
    assert browser.complaints == []


@pytest.mark.alone
def test_two_hundred_messages_a_second_do_not_stutter(person: Person, tmp_path: Path) -> None:
    """240 messages on their way at any moment, 200 new ones each second: frames over 50 ms are counted, and few."""
    browser = person.browser
    crowd = tmp_path / "crowd.jsonl"
    crowd.write_text(crowded_run(200, 11))
    browser.choose_file("#open-file", crowd)
    browser.wait_for("document.querySelectorAll('.message').length > 200")
    long, frames = person.stutters(4.0)
    person.picture("crowd")
    assert frames >= 20
    assert long <= frames / 2, "a busy machine is no finding; a page that stands still is"


def test_a_server_that_is_lost_comes_back_by_itself(person: Person, live: LiveProcess) -> None:
    """Ctrl-C, and the page says that it is lost; started again, the page takes up the new run, and can act in it."""
    run = person.browser.ask(
        "fetch('/journal').then(answer => answer.text()).then(text => JSON.parse(text.split('\\n')[0]).run)"
    )
    live.stop()
    person.sees("#connection", "lost, retrying")
    person.picture("lost")
    live.start()
    person.sees("#connection", "live")
    person.browser.wait_for("document.querySelector('.message')")
    new = person.browser.ask(
        "fetch('/journal').then(answer => answer.text()).then(text => JSON.parse(text.split('\\n')[0]).run)"
    )
    assert new != run
    person.browser.click("[data-server='s0'] [data-do='pause']")
    person.sees("[data-server='s0'] .state", "paused")
    person.browser.click("[data-server='s0'] [data-do='resume']")
