"""The bill of materials is that of the pins, and the same each time; the audit's answer is never better than it is."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "services" / "Dockerfile"


def _bills(folder: Path) -> dict[str, Any]:
    subprocess.run([sys.executable, "scripts/sbom.py", str(folder)], cwd=ROOT, check=True, capture_output=True)
    return {file.name.split(".")[0]: json.loads(file.read_text()) for file in folder.iterdir()}


def test_the_bill_has_every_pin_of_the_image(tmp_path: Path) -> None:
    """Name, version and hashes; written twice it is the same, bytes and serial number."""
    bills = _bills(tmp_path / "one")
    assert bills == _bills(tmp_path / "two")
    text = "".join((ROOT / "requirements" / f"{name}.txt").read_text() for name in ("runtime", "postgresql"))
    pinned = {(name.lower(), version) for name, version in re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE)}
    service = bills["oncekv-service"]
    assert {(one["name"], one["version"]) for one in service["components"]} == pinned
    assert service["specVersion"] == "1.6"
    for component in service["components"]:
        assert component["purl"] == f"pkg:pypi/{component['name']}@{component['version']}"
        assert component["properties"], f"{component['name']} has no hash"
        assert all(one["value"] in text for one in component["properties"])


def test_a_package_has_one_version() -> None:
    """In whichever of the files it stands: an image that installs two of them has no say in which wins."""
    versions: dict[str, set[str]] = {}
    for file in (ROOT / "requirements").glob("*.txt"):
        if file.stem not in ("audit", "docs"):  # environments of their own
            for name, version in re.findall(r"^([\w.-]+)==(\S+)", file.read_text(), re.MULTILINE):
                versions.setdefault(name, set()).add(version)
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


def test_the_bill_is_of_the_files_that_the_image_installs() -> None:
    """Whoever gives an image other requirements has to say so here."""
    spec = importlib.util.spec_from_file_location("sbom", ROOT / "scripts" / "sbom.py")
    assert spec is not None and spec.loader is not None  # noqa: PT018 one fact
    sbom = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sbom)
    copied = set(re.findall(r"^COPY requirements/(\w+)\.txt", DOCKERFILE.read_text(), re.MULTILINE))
    assert copied == {name for names in sbom.IMAGES.values() for name in names}
    assert "|".join(sbom.CLIENTS) in DOCKERFILE.read_text()


@pytest.mark.parametrize(
    ("said", "ended", "code", "words"),
    [
        ("No known vulnerabilities found", 0, 0, "No known"),
        ("Found 1 known vulnerability in 1 package", 1, 1, "Found 1"),
        (
            "No known vulnerabilities found\nDependency not found on PyPI and could not be audited: x",
            0,
            3,
            "NOT AUDITED",
        ),
        ("ERROR: connection refused", 1, 3, "NOT AUDITED"),
    ],
)
def test_what_was_not_audited_is_not_called_well(tmp_path: Path, said: str, ended: int, code: int, words: str) -> None:
    """Here with an auditor that says this."""
    for folder in ("scripts", ".tools/audit/bin", "requirements"):
        (tmp_path / folder).mkdir(parents=True)
    script = tmp_path / "scripts" / "audit"
    script.write_bytes((ROOT / "scripts" / "audit").read_bytes())
    auditor = tmp_path / ".tools/audit/bin/pip-audit"
    auditor.write_text(f"#!/bin/sh\ncat <<'END'\n{said}\nEND\nexit {ended}\n")
    for program in (script, auditor):
        program.chmod(0o700)
    done = subprocess.run([str(script)], capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == code
    assert words in done.stdout + done.stderr
