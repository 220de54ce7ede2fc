"""The one script that draws the plots: Vega, Vega-Lite and Vega-Embed, as `vl-convert-python` carries them.

Guarantee: it comes from the installed wheel, so that neither writing nor reading a report needs a network.
"""

from __future__ import annotations

from functools import cache

import vl_convert

__all__ = ["library"]


@cache
def library() -> str:
    """JavaScript that may stand inside a `<script>` and sets `window.vegaEmbed`; a second of work, done once."""
    script: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    # Either would end the element, or keep it from ending; inside of JavaScript's strings the backslash is nothing.
    return script.replace("</script", "<\\/script").replace("<!--", "<\\!--")
