"""The page at `/docs`: a server's methods and errors to read, and each method to try, made from `rpc.discover`.

    page.html   what the document says, for people        page.js   one call: its request, its reply, and again
    page.css    how it looks

Three GETs of the same origin and nothing else: the Content-Security-Policy forbids every other address, inline script
and frame. What is tried is a real call to this server, under an Idempotency-Key of its own. Limit: nobody is kept from
reading the page, as nobody is from `/metrics`; a call asks for the token that every call asks for.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jinja2

from oncerpc.server.rpc.method import Context, ServerFacts
from oncerpc.server.rpc.methods.rpc_discover import Discover, discover
from oncerpc.wire.identity import NO_META

__all__ = ["Page", "docs_page"]

_HERE = Path(__file__).parent
_TYPES = {"page.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8"}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class Page(NamedTuple):
    """What one GET brings."""

    body: bytes
    content_type: str
    headers: Mapping[str, str] = _HEADERS


def docs_page(facts: ServerFacts, name: str, rpc: str) -> Page | None:
    """The page, or with a `name` the file that it asks for; None for a name that it does not have.

    rpc: where its calls go, relative to the page.
    """
    if name in _TYPES:
        return Page((_HERE / name).read_bytes(), _TYPES[name])
    if name:
        return None
    document = discover(Context(server=facts, meta=NO_META), Discover())
    html = _template().render(document=document, rpc=rpc, words=_words, prefill=_prefill, json=_json)
    return Page(html.encode(), "text/html; charset=utf-8")


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string((_HERE / "page.html").read_text(encoding="utf-8"))


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _words(schema: Mapping[str, Any]) -> str:
    """A schema in a few words, as "string", "integer or null", "array of Op"."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(map(_words, schema["anyOf"])))
    if "enum" in schema:
        return " or ".join(map(json.dumps, schema["enum"]))
    if schema.get("type") == "array" and schema.get("items"):
        return f"array of {_words(schema['items'])}"
    return str(schema.get("type", "any JSON value"))


def _prefill(schema: Mapping[str, Any]) -> str:
    """What stands in a param's field at first: its default, if that says anything."""
    default = schema.get("default")
    if isinstance(default, str):
        return default
    return "" if default is None else json.dumps(default)
