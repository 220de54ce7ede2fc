"""Every snippet of docs/library.md runs, in order, and prints what the page says."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "library.md"
BLOCK = re.compile(r"^```(python test|python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_snippets_do_what_the_page_says(tmp_path: Path, monkeypatch) -> None:
    """One after the other as a reader would; the test among them by pytest itself."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "snippets"}
    printed, code_so_far, texts = "", "", 0
    for kind, code in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        if kind == "text":
            assert printed == code
            texts += 1
            continue
        if kind == "python test":
            assert "1 passed" in _by_pytest(tmp_path / "separate", code_so_far + code)
            continue
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(compile(code, str(PAGE), "exec"), names)  # noqa: S102 our own page
        printed = output.getvalue()
        code_so_far += code
    assert texts == 3
    names["engine"].dispose()


def _by_pytest(folder: Path, code: str) -> str:
    folder.mkdir()
    (folder / "test_page.py").write_text(code)
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=120, check=False, env=os.environ)
    return done.stdout
