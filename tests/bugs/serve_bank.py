"""The bank with a bug in it, for gunicorn: `tests.bugs.serve_bank:planted('NAME')`, else as `bank.app:app`."""

from __future__ import annotations

import contextlib

from flask import Flask

from tests.bugs.planted import load

__all__ = ["planted"]

_HELD = contextlib.ExitStack()  # as long as the process


def planted(name: str) -> Flask:
    """Plant the bug, then be the bank."""
    _HELD.enter_context(load(name).plant())
    from bank.app import app

    return app
