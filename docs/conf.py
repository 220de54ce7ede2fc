"""How Sphinx makes a site of the pages: `make docs`. It reads them where they stand, all below the project's root.

The pages are written for GitHub and for a terminal, and know nothing of Sphinx: what it needs besides (the order of
pages, links to folders) is put in while it reads. Guarantee: whatever it cannot resolve fails the build. Limit: a
diagram in Mermaid stays text, because drawing it would load a script from elsewhere.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"\[([^\]\n]*)\]\((?!https?:|#|mailto:)([^)#\s]+)(?:#[^)\s]*)?\)")
REDIRECT = """<!doctype html><meta charset="utf-8"><title>OnceKV</title>
<meta http-equiv="refresh" content="0; url={0}"><a href="{0}">{0}</a>
"""

project = "OnceKV"
author = "OnceKV contributors"
extensions = ["myst_parser"]
root_doc = "docs/README"
include_patterns = ["*.md", "docs/**.md", "*/README.md", "bench/results/*.md"]
exclude_patterns = ["out", ".*", "tests"]
myst_heading_anchors = 4
suppress_warnings = [
    "misc.highlighting_failure",  # Mermaid, HTTP heads, outputs with an ellipsis
    "myst.header",  # a measured table begins with a smaller heading
    "toc.no_title",  # or with none
    "toc.not_included",  # and is reached by links alone
]
html_theme = "furo"
html_title = "OnceKV"
html_show_sourcelink = False
html_show_copyright = False
html_copy_source = False


def setup(app: Any) -> None:
    """Sphinx calls this first."""
    app.connect("source-read", _adapt)
    app.connect("build-finished", _front_page)


def _adapt(_app: Any, name: str, source: list[str]) -> None:
    """Folders lose their link; an index of pages becomes a part of the site's tree."""
    place = (ROOT / name).parent
    text = LINK.sub(lambda link: link[1] if (place / link[2]).is_dir() else link[0], source[0])
    if name == root_doc:
        text = text.replace("\n", "\n\n[The front page](../README.md)\n", 1)
    if name in ("docs/README", "docs/tour/README"):
        text += _tree(place, dict.fromkeys(link[2] for link in LINK.finditer(text) if link[2].endswith(".md")))
    source[0] = text


def _tree(place: Path, pages: dict[str, None]) -> str:
    listed = "\n".join(page for page in pages if (place / page).exists())
    return f"\n```{{toctree}}\n:hidden:\n{listed}\n```\n"


def _front_page(app: Any, _error: Exception | None) -> None:
    Path(app.outdir, "index.html").write_text(REDIRECT.format(f"{root_doc}.html"), encoding="utf-8")
