"""The one script that draws the plots: Vega, Vega-Lite and Vega-Embed, as `vl-convert-python` carries them.

Guarantee: it comes from the installed wheel, so that neither writing nor reading a report needs a network.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from functools import cache
from importlib.metadata import version
from pathlib import Path

import vl_convert

__all__ = ["library"]

_NOT_KEPT = (OSError, RuntimeError)  # the latter: a user without a home


@cache
def library() -> str:
    """JavaScript that may stand inside a `<script>` and sets `window.vegaEmbed`.

    To make it takes five seconds of a processor, so it is kept for other runs, in the user's cache folder
    ($XDG_CACHE_HOME, ~/.cache), under the version that it comes from; where nothing can be kept it is made each time.
    """
    with contextlib.suppress(*_NOT_KEPT, UnicodeDecodeError):
        return _place().read_text(encoding="utf-8")
    script: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    # Either would end the element, or keep it from ending; inside of JavaScript's strings the backslash is nothing.
    script = script.replace("</script", "<\\/script").replace("<!--", "<\\!--")
    with contextlib.suppress(*_NOT_KEPT):
        _keep(script, _place())
    return script


def _place() -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "oncekv"
    return folder / f"vega-{version('vl-convert-python')}.js"


def _keep(script: str, kept: Path) -> None:
    """Whole or not at all, whoever else does the same."""
    kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.NamedTemporaryFile("w", dir=kept.parent, encoding="utf-8", delete=False) as file:
        try:
            file.write(script)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            Path(file.name).unlink()
            raise
    Path(file.name).replace(kept)
