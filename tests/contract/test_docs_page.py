"""The page at /docs, of every way to serve: all that `rpc.discover` lists, and no other address."""

from __future__ import annotations

import html
import re

import pytest
import requests

CSP = {
    "default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "img-src data:",
    "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
}  # fmt: skip


@pytest.fixture(scope="module")
def page(node):
    """The page."""
    return requests.get(f"{node.server.url}/docs", timeout=10)


def test_it_has_every_method_param_and_error(page, node):
    """Whatever the server's own document lists can be read there."""
    document = node.kv.ok("rpc.discover")
    assert page.status_code == 200
    ids = set(map(html.unescape, re.findall(r'id="([^"]*)"', page.text)))
    for method in document["methods"]:
        assert {method["name"], *(f"{method['name']}-{param['name']}" for param in method["params"])} <= ids
        assert html.escape(method["summary"]).replace("&#x27;", "&#39;") in page.text
    assert {f"error-{name}" for name in document["components"]["errors"]} <= ids


def test_it_names_no_other_address(page, node):
    """Its policy forbids all but this origin, nothing is inline, and the files that it names are there."""
    assert set(page.headers["Content-Security-Policy"].split("; ")) == CSP
    assert "<style" not in page.text
    assert not re.search(r"<script(?![^>]* src=)|style=|\son\w+=|https?://", page.text)
    named = re.findall(r'(?:src|href)="(?!#|data:)([^"]*)"', page.text)
    assert named == ["docs/page.css", "docs/page.js"]
    for name, kind in zip(named, ("text/css", "text/javascript"), strict=True):
        found = requests.get(f"{node.server.url}/{name}", timeout=10)
        assert found.headers["Content-Type"].startswith(kind)
        assert "://" not in found.text


def test_there_is_nothing_else_beside_it(node):
    """Another name below it is 404, whatever it tries to be."""
    for name in ("nothing", "page.html", "__init__.py", "..%2fapp.py", ""):
        assert requests.get(f"{node.server.url}/docs/{name}", timeout=10).status_code == 404


@pytest.mark.parametrize(
    "path", ["/docs//page.js", "//docs", "/docs/", "//healthz", "//h]/docs", "//[", "/%2fdocs", "/%68ealthz%00"]
)
def test_other_spellings_are_other_pages(node, path):
    """They are not there; nobody is led to a host that the server makes up. Found by the fuzzer."""
    reply = node.kv.fetch("GET", path)
    assert reply.status == 404
    assert reply.json["error"]["data"]["http_status"] == 404
