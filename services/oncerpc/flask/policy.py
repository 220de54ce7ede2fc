"""The policy page: what is recorded, for how long, and what a caller gets, from the settings that are in force."""

from __future__ import annotations

from flask import render_template_string

from oncerpc.flask.problems import PROBLEMS
from oncerpc.flask.setup import Settings
from oncerpc.flask.views import VERBS, ViewPolicy

__all__ = ["policy_page"]

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Retry policy</title>
<style>body{font:1rem/1.5 system-ui;max-width:46rem;margin:2rem auto;padding:0 1rem}td,th{padding:.2rem .8rem .2rem 0;
text-align:left;vertical-align:top}</style>
<h1>Retry policy</h1>
{% if disabled %}<p><strong>Switched off (ONCERPC_DISABLED): every request runs.</strong></p>{% endif %}
<p>A request with an <code>Idempotency-Key</code> may be sent again, as often as you like: it is done once, and every
further attempt gets the first reply, marked <code>Idempotent-Replayed: true</code>. The effect and the record of the
reply are committed in one transaction.</p>
<h2>The key</h2>
<ul><li>1 to 255 visible ASCII characters without a comma, bare or as a quoted string: <code>abc</code> and
<code>"abc"</code> are one key.
<li>Taken on {{ verbs }}.
<li>Bound to verb, path, query and body; JSON bodies are compared as values, others byte by byte.
<li>{{ whose }}
<li>A request that arrives while the first one runs {{ meanwhile }}.</ul>
<h2>What is recorded</h2>
<table><tr><th>status</th><th>effect</th><th>reply</th></tr>
<tr><td>below 400</td><td>committed</td><td>recorded and replayed</td></tr>
<tr><td>400 to 499</td><td>rolled back</td><td>recorded and replayed</td></tr>
<tr><td>500 and above</td><td>rolled back</td><td>not recorded: the next attempt runs it again</td></tr></table>
<p>A replay has the first status, body, Content-Type, Location and ETag; cookies are never replayed.</p>
{% if views %}<h2>Where</h2><table><tr><th>view</th><th>key</th><th>kept for</th><th>further headers replayed</th></tr>
{% for name, policy in views %}<tr><td>{{ name }}</td><td>{{ "required" if policy.required else "optional" }}</td>
<td>{{ (policy.ttl_ms / 1000) if policy.ttl_ms else ttl_s }} s</td>
<td>{{ policy.replay_headers | join(", ") }}</td></tr>
{% endfor %}</table>{% endif %}
<p>JSON-RPC calls at <code>{{ path }}</code>: a key is kept for {{ ttl_s }} s; a call under a session as long as the
session lives and the reply is not acknowledged (<code>rpc.discover</code> lists the methods).</p>
<h2>Refusals</h2>
<table><tr><th>type</th><th>status</th><th>meaning</th><th>again with the same key?</th></tr>
{% for name, kind in problems.items() %}<tr id="{{ name }}"><td>{{ name }}</td><td>{{ kind.status }}</td>
<td>{{ kind.title }}</td><td>{{ "yes" if kind.may_retry else "no" }}</td></tr>{% endfor %}</table>
</html>
"""


def policy_page(settings: Settings, views: dict[str, ViewPolicy], *, disabled: bool) -> str:
    """The page as HTML."""
    wait = f"waits for it, for at most {settings.wait_max_s:g} s, and gets its reply; after that, 409"
    return render_template_string(
        _PAGE,
        disabled=disabled,
        verbs=", ".join(sorted(VERBS)),
        whose="Keys of two callers never meet: a caller is known by "
        + ("the application's own scope." if settings.scope else "its Authorization header."),
        meanwhile=wait if settings.on_duplicate == "wait" else "gets 409 at once, and may ask again",
        ttl_s=f"{settings.key_ttl_s:g}",
        path=settings.path,
        views=sorted(views.items()),
        problems=PROBLEMS,
    )
