"""The report in a real Chromium, opened from a file and without a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.report.page import write_report
from tests.support.browser import Browser, chromium_or_skip
from tests.support.evidence import write_run

SLUG = "lost-reply--at-least-once"
CELL = f"document.getElementById('{SLUG}')"
MARKS = f"{CELL}.querySelectorAll('[data-plot={{}}] svg .mark-{{}} path').length"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where the report of a small run is."""
    run = write_run(tmp_path_factory.mktemp("run"), ("healthy", "lost-reply", "crash-after-commit"))
    return write_report(run).as_uri()


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests of this file."""
    with chromium_or_skip("the report is not looked at in a browser", tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def browser(chromium: Browser) -> Browser:
    """The same, without what another test made it complain of."""
    chromium.complaints.clear()
    chromium.size(1280, 900)
    return chromium


def test_a_cell_that_is_opened_draws_its_plots(browser, address):
    """Nothing is drawn before; then bars, points and bands are there, and the console is silent."""
    browser.open(address)
    assert browser.ask("document.querySelectorAll('.plot svg').length") == 0
    browser.ask(f"{CELL}.querySelector('summary').click()")
    browser.wait_for(f"{CELL}.dataset.drawn")
    assert browser.ask(f"{CELL}.querySelectorAll('.plot svg').length") == 3
    assert browser.ask(MARKS.format("timeline", "rect")) > 200, "calls, attempts and bands"
    assert browser.ask(MARKS.format("timeline", "symbol")) >= 4, "what got no answer has a sign"
    assert browser.ask(MARKS.format("latency", "symbol")) == 100
    assert browser.ask(f"{CELL}.querySelectorAll('.sequence svg line').length") > 5
    assert browser.complaints == []


def test_the_table_leads_to_the_cell_and_back_by_keyboard(browser, address):
    """Enter on a cell of the table opens its section, and the section's own link leads back."""
    browser.open(address)
    browser.ask(f"document.querySelector('table.matrix a[href=\"#{SLUG}\"]').focus()")
    browser.press("Enter")
    browser.wait_for(f"{CELL}.open && {CELL}.dataset.drawn")
    assert browser.ask(f"{CELL}.contains(document.activeElement)")
    browser.ask(f"{CELL}.querySelector('.back a').click()")
    browser.wait_for("location.hash === '#matrix'")
    assert browser.complaints == []


def test_an_address_with_a_cell_opens_that_cell(browser, address):
    """Who is sent a link to a cell sees it."""
    browser.open(f"{address}?link#{SLUG}")
    browser.wait_for(f"{CELL}.open && {CELL}.dataset.drawn")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_nothing_sticks_out_on_a_phone(browser, address, dark):
    """At 390 pixels the page does not scroll sideways, all cells open; the table scrolls in its own box."""
    browser.size(390, 844, dark=dark)
    browser.open(f"{address}?phone-{dark}")
    browser.ask("document.querySelectorAll('details').forEach(cell => { cell.open = true; })")
    browser.wait_for("[...document.querySelectorAll('details.cell')].every(cell => cell.dataset.drawn)")
    assert browser.ask("document.documentElement.scrollWidth") == 390
    assert browser.ask("document.querySelector('#matrix .scroll').scrollWidth") > 390
    assert browser.complaints == []


def test_the_plots_have_the_colours_of_the_scheme(browser, address):
    """In the dark the bars are not drawn in the colours that are meant for paper."""
    colours = []
    for dark in (False, True):
        browser.size(1280, 900, dark=dark)
        browser.open(f"{address}?scheme-{dark}#{SLUG}")
        browser.wait_for(f"{CELL}.dataset.drawn")
        colours.append(
            browser.ask(f"{CELL}.querySelector('[data-plot=distribution] .mark-line path').getAttribute('stroke')")
        )
    assert len(set(colours)) == 2


def test_the_browser_of_these_tests_would_tell(browser, tmp_path: Path):
    """The known-bad twin: a page that asks for the network, and one that throws, do not pass in silence."""
    bad = tmp_path / "bad.html"
    bad.write_text("<img src='http://192.0.2.1/x.png'><script>throw new Error('thrown')</script>")
    browser.open(bad.as_uri())
    browser.wait_for("document.readyState === 'complete'")
    assert any("192.0.2.1" in text for text in browser.complaints)
    assert any("thrown" in text for text in browser.complaints)
