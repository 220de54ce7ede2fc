"""A bill of materials for each image, in CycloneDX 1.6, from the pins that it is built from; no network, no packages.

    python3 scripts/sbom.py out/sbom

Each package has its name, version, where it comes from (purl) and the hashes of the files that may be installed. The
same pins make the same bytes, the serial number included.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import uuid
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
IMAGES = {"service": ("runtime", "postgresql"), "bank": ("runtime", "bank"), "clients": ("runtime", "dev")}
CLIENTS = ("toxiproxy-python", "future")
"""Of dev.txt the image `clients` installs these alone, as services/Dockerfile says."""
PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)([^\n]*(?:\n    --hash=[^\n]*)+)", re.MULTILINE)
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def pins(name: str) -> dict[str, tuple[str, list[str]]]:
    """Package to version and hashes, of one file of requirements."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    return {package.lower(): (version, HASH.findall(rest)) for package, version, rest in PIN.findall(text)}


def bill(image: str) -> dict[str, Any]:
    """The document of one image."""
    found: dict[str, tuple[str, list[str]]] = {}
    for name in IMAGES[image]:
        them = pins(name)
        found |= them if name != "dev" else {package: them[package] for package in CLIENTS if package in them}
    components = [_component(package, *pin) for package, pin in sorted(found.items())]
    digest = hashlib.sha256(json.dumps([image, components]).encode()).hexdigest()
    version = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert version, "pyproject.toml has a version"
    top = {"type": "container", "bom-ref": f"oncekv-{image}", "name": f"oncekv-{image}", "version": version[1]}
    refs = [component["bom-ref"] for component in components]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.UUID(digest[:32])}",
        "version": 1,
        "metadata": {"component": top},
        "components": components,
        "dependencies": [{"ref": f"oncekv-{image}", "dependsOn": refs}],
    }


def _component(package: str, version: str, hashes: list[str]) -> dict[str, Any]:
    """The hashes are of all the files of that version that may be installed, one of them on each platform."""
    purl = f"pkg:pypi/{package}@{version}"
    files = [{"name": "oncekv:accepted-file:sha256", "value": value} for value in hashes]
    return {
        "type": "library", "bom-ref": purl, "name": package, "version": version, "purl": purl, "properties": files,
    }  # fmt: skip


def main(folder: Path) -> None:
    """Write all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for image in IMAGES:
        document = bill(image)
        (folder / f"oncekv-{image}.cdx.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        sys.stdout.write(f"sbom: {folder}/oncekv-{image}.cdx.json, {len(document['components'])} packages\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
