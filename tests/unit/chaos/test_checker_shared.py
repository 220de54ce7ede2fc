"""The checker against recorded histories whose verdicts others have found (Porcupine's test data).

They lie beside the project and not in it. Where they are missing, the test says so: by a skip, and where NO_SKIPS=1
forbids skips (a fresh clone, CI) by a line of the output, as no clone can have them.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from chaos.__main__ import main
from tests.support.checking import verdict_of
from tests.support.shared_histories import MISSING, events, model_of, verdicts

VERDICTS = verdicts()
THROUGH_THE_COMMAND = ["kv/c10-ok.txt", "kv/c10-bad.txt", "jepsen/etcd_000.log", "jepsen/etcd_002.log"]

if VERDICTS:

    @pytest.mark.parametrize("name", VERDICTS)
    def test_agrees_with_the_recorded_verdict(name: str) -> None:
        """Every recorded history gets its verdict, and none is unknown."""
        assert verdict_of(events(name), model_of(name)).holds is VERDICTS[name]

    @pytest.mark.parametrize("name", THROUGH_THE_COMMAND)
    def test_the_command_agrees_with_the_recorded_verdict(name: str, tmp_path: Path) -> None:
        """The same histories as a file give the same verdict as an exit code."""
        path = tmp_path / "history.jsonl"
        path.write_text("".join(f"{json.dumps(event)}\n" for event in events(name)), encoding="utf-8")
        assert main(["check", str(path), "--model", model_of(name)]) == (0 if VERDICTS[name] else 1)

else:

    def test_the_recorded_histories_are_not_here(capsys: pytest.CaptureFixture[str]) -> None:
        """Nobody is left to believe that the checker was held against recorded histories when it was not."""
        if os.environ.get("NO_SKIPS") != "1":
            pytest.skip(MISSING)
        with capsys.disabled():
            print(f"\nNOT CHECKED: {MISSING}")
