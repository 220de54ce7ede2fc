"""The metrics page of several workers, each of which counts in files of its own."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from oncerpc.server.metrics import Metrics


def test_a_worker_that_has_counted_nothing_yet_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It makes its file before it writes to it; one that is killed between leaves an empty one for good."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    key = mmap_key("oncekv_attempts", "oncekv_attempts_total", ["method"], ["kv.put"], "Attempts that arrived")
    with contextlib.closing(MmapedDict(str(tmp_path / "counter_1.db"))) as counted:
        counted.write_value(key, 3.0, 0.0)
    (tmp_path / "counter_2.db").touch()
    page = Metrics(lambda: {"sessions": 2, "records": 5}).text().decode()
    assert 'oncekv_attempts_total{method="kv.put"} 3.0' in page
    assert "oncekv_sessions 2.0" in page
