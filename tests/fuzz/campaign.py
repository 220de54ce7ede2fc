"""One run of the fuzzer for one target, and what came of it: executions, coverage, corpus, findings."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["CORPUS", "Campaign", "Run", "kept"]

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(__file__).with_name("corpus")
INPUT_MAX = 4096
INPUT_MAX_S = 10
END_MAX_S = 60.0
_PROGRESS = re.compile(rb"#(\d+)\s+\w+\s+cov: (\d+) ft: (\d+) corp: (\d+)/")
_EXECUTED = re.compile(rb"stat::number_of_executed_units:\s*(\d+)")


def kept(target: str) -> list[Path]:
    """The inputs that are kept for this target, in the repository."""
    return sorted((CORPUS / target).iterdir())


@dataclass
class Run:
    """coverage: edges of the product that were reached; features: the same with how often. findings: files that show
    one, and the end of the fuzzer's words.
    """

    target: str
    took_s: float = 0.0
    executions: int = 0
    coverage_at_first: int = 0
    coverage: int = 0
    features: int = 0
    corpus_at_first: int = 0
    corpus: int = 0
    findings: list[Path] = field(default_factory=list)
    words: str = ""

    @property
    def good(self) -> bool:
        """Whether it came to its end and found nothing."""
        return not self.findings and not self.words and self.executions > 0


class Campaign:
    """In `folder`, beginning with what is kept."""

    def __init__(self, target: str, folder: Path) -> None:
        self.run = Run(target)
        self.found = folder / target / "corpus"
        self._artifacts = folder / target / "findings"
        shutil.rmtree(folder / target, ignore_errors=True)
        self._artifacts.mkdir(parents=True)
        shutil.copytree(CORPUS / target, self.found)
        self._log = folder / target / "log"
        self._began_s = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, seconds: int, seed: int) -> None:
        """In a process of its own."""
        self.run.corpus_at_first = len(list(self.found.iterdir()))
        words = [f"-max_total_time={seconds}", f"-seed={seed}", f"-timeout={INPUT_MAX_S}", f"-max_len={INPUT_MAX}"]
        words += [f"-artifact_prefix={self._artifacts}/", "-print_final_stats=1", str(self.found)]
        self._began_s = time.monotonic()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.fuzz.worker", self.run.target, *words],
                cwd=ROOT, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def end(self, seconds: float) -> Run:
        """Wait for it, and read what it said."""
        process = self._process
        assert process is not None, "it was not started"
        try:
            code = process.wait(seconds + END_MAX_S)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        self.run.took_s = time.monotonic() - self._began_s
        self._read(self._log.read_bytes(), code)
        return self.run

    def keep(self) -> None:
        """Take into the repository what reaches further than what is kept."""
        words = ["-merge=1", f"-max_len={INPUT_MAX}", str(CORPUS / self.run.target), str(self.found)]
        command = [sys.executable, "-m", "tests.fuzz.worker", self.run.target, *words]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)

    def _read(self, log: bytes, code: int) -> None:
        progress = [tuple(map(int, found)) for found in _PROGRESS.findall(log)]
        executed = _EXECUTED.search(log)
        if progress:
            self.run.coverage_at_first = progress[0][1]
            _, self.run.coverage, self.run.features, self.run.corpus = progress[-1]
        self.run.executions = int(executed[1]) if executed else 0
        self.run.findings = sorted(self._artifacts.iterdir())
        if code != 0:
            self.run.words = log[-3000:].decode(errors="replace")
