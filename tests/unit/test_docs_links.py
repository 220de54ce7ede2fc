"""No link of any page is dead: files, folders, pictures, and the headings that a link leads to."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOT_OURS = ("out", "build", "node_modules")
LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|href|srcset)=\"([^\"]+)\"")
OUTSIDE = re.compile(r"[a-z]+:|//")


def pages() -> list[Path]:
    """Every Markdown file of the project, what is installed or made left out."""
    found = (path.relative_to(ROOT) for path in ROOT.rglob("*.md"))
    return sorted(path for path in found if not any(part[0] == "." or part in NOT_OURS for part in path.parts))


def dead_links(page: Path, text: str) -> list[str]:
    """Those of a page at this place whose file or heading there is not."""
    return [link for link in _links(text) if not _is_alive(page, text, link)]


def _is_alive(page: Path, text: str, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = page.parent / name if name else page
    if name and not target.exists():
        return False
    if not anchor:
        return True
    return anchor in set(anchors(target.read_text(encoding="utf-8") if name else text))


def anchors(text: str) -> Iterator[str]:
    """What GitHub calls the headings of a page, and MyST with it."""
    seen: Counter[str] = Counter()
    for heading in re.findall(r"^#{1,6} (.+)$", _without_code(text), re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).strip().replace(" ", "-")
        yield f"{slug}-{seen[slug]}" if seen[slug] else slug
        seen[slug] += 1


def _links(text: str) -> Iterator[str]:
    for found in LINK.finditer(_without_code(text)):
        link = found[1] or found[2]
        if not OUTSIDE.match(link):
            yield link


def _without_code(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", pages(), ids=str)
def test_every_link_leads_somewhere(page: Path) -> None:
    """Whoever follows a link of a page finds the file, and in it the heading."""
    assert dead_links(ROOT / page, (ROOT / page).read_text(encoding="utf-8")) == []


def test_a_dead_link_is_seen() -> None:
    """A file that is not there, a heading that is not there, in this page and in another, a picture."""
    text = "# A `b` c\n[a](#a-b-c) [b](#a-b) [c](README.md) [d](gone.md) [e](README.md#gone) <img src='x'>\n"
    text += '<img src="gone.svg"> [f](https://example.org/gone)\n```\n[g](gone)\n```\n'
    assert dead_links(ROOT / "page.md", text) == ["#a-b", "gone.md", "README.md#gone", "gone.svg"]


def test_the_tour_is_a_chain() -> None:
    """Each chapter ends with a question and a link to the next; all are in the index, and in that of the documents."""
    tour = ROOT / "docs" / "tour"
    chapters = sorted(path.name for path in tour.glob("[0-9]-*.md"))
    assert [name[0] for name in chapters] == list("123456")
    for name, after in zip(chapters, [*chapters[1:], "../library.md"], strict=True):
        last = (tour / name).read_text(encoding="utf-8").rstrip().rpartition("\n\n")[2]
        assert "?" in last
        assert f"]({after})" in last
    assert all(f"]({name})" in (tour / "README.md").read_text(encoding="utf-8") for name in chapters)
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    assert all(f"]({page.name})" in index for page in (ROOT / "docs").glob("*.md") if page.name != "README.md")
    assert "](tour/README.md)" in index
