"""The page at /docs in a real Chromium: a person reads, tries a method, and sends it again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.browser import Browser, chromium_or_skip
from tests.support.server import Node

FORM = "document.querySelector('form[data-method=\"{}\"]')"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory, node: Node) -> Iterator[Browser]:
    """One browser for all tests of this file."""
    with chromium_or_skip(
        "the docs page is not tried in a browser", tmp_path_factory.mktemp("profile"), node.server.url
    ) as browser:
        yield browser


@pytest.fixture
def browser(chromium: Browser, node: Node) -> Browser:
    """The page, open; what it asks for from now on is noted."""
    chromium.complaints.clear()
    chromium.size(1280, 900)
    chromium.open(f"{node.server.url}/docs")
    return chromium


def fill(browser: Browser, method: str, **params: str) -> None:
    """Type into a method's fields."""
    for name, text in params.items():
        browser.ask(f"{FORM.format(method)}.elements[{json.dumps(name)}].value = {json.dumps(text)}")


def shown(browser: Browser, method: str, what: str) -> str:
    """The text of a part of what the last call showed, once it is there."""
    part = f"{FORM.format(method)}.querySelector('.shown .{what}')"
    browser.wait_for(part)
    text: str = browser.ask(f"{part}.textContent")
    return text


def test_a_call_is_made_shown_and_sent_again_by_keyboard(browser: Browser, node: Node) -> None:
    """Enter in a field sends it under a new key; the second button sends the same again: a replay, one effect."""
    fill(browser, "kv.append", key="docs page", value='"x" & <b>')
    browser.ask(f"{FORM.format('kv.append')}.elements.key.focus()")
    browser.press("Enter")
    assert json.loads(shown(browser, "kv.append", "reply"))["result"] == {"version": 1, "offset": 0}
    first = shown(browser, "kv.append", "request")
    assert "Idempotency-Key: " in first
    browser.ask(f"{FORM.format('kv.append')}.querySelector('.again').click()")
    assert "Replayed" in shown(browser, "kv.append", "replayed")
    assert shown(browser, "kv.append", "request") == first
    assert node.kv.ok("kv.get", key="docs page") == {"value": '"x" & <b>', "version": 1}
    browser.ask(f"{FORM.format('kv.append')}.requestSubmit()")
    browser.wait_for(f"!{FORM.format('kv.append')}.querySelector('.replayed')")
    assert json.loads(shown(browser, "kv.append", "reply"))["result"]["version"] == 2, "a new call, a new identity"
    assert browser.complaints == []


def test_params_go_as_they_are_written(browser: Browser, node: Node) -> None:
    """What is no string is JSON, an integer of 64 bits to its last digit; what is empty and optional is left out."""
    fill(browser, "kv.increment", key="docs number", by=str(2**63 - 1))
    browser.ask(f"{FORM.format('kv.increment')}.requestSubmit()")
    assert json.loads(shown(browser, "kv.increment", "reply"))["result"]["value"] == 2**63 - 1
    fill(browser, "kv.increment", by="many")
    browser.ask(f"{FORM.format('kv.increment')}.requestSubmit()")
    assert "by is not JSON" in shown(browser, "kv.increment", "wrong")
    fill(browser, "kv.put", key="docs empty", value="")
    browser.ask(f"{FORM.format('kv.put')}.requestSubmit()")
    assert json.loads(shown(browser, "kv.put", "reply"))["result"] == {"version": 1}
    assert browser.complaints == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_fits_on_a_phone(browser: Browser, node: Node, tmp_path: Path, dark: bool) -> None:
    """At 390 pixels it does not scroll sideways, a reply shown; what the policy forbids was never asked for."""
    browser.size(390, 844, dark=dark)
    browser.open(f"{node.server.url}/docs?phone-{dark}")
    browser.ask(f"{FORM.format('rpc.discover')}.requestSubmit()")
    shown(browser, "rpc.discover", "reply")
    assert browser.ask("document.documentElement.scrollWidth") == 390
    browser.picture(tmp_path / "docs.png")
    assert browser.complaints == []
