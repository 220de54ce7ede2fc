"""The OpenRPC meta-schema itself, and the one of JSON Schema that it refers to: from their publishers' packages on npm,
which is the only place that they are released to.

Got once by npm, compared with the hashes that are written here, and kept in .tools/; nothing of them is in this
repository (both are Apache-2.0: github.com/open-rpc/meta-schema, github.com/json-schema-tools/meta-schema).
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import jsonschema
import referencing
from referencing.jsonschema import DRAFT7

__all__ = ["can_judge", "faults"]

OPENRPC = "@open-rpc/meta-schema@1.14.9"
JSON_SCHEMA = "@json-schema-tools/meta-schema@1.8.0"
SHA512 = {
    OPENRPC: (
        "dbf09b0f3395a5c6929ccb36f13b11bfc30a270262d134d816543aabaaa86c01"
        "f6ea822e85881c668a0a7f897bd5e9a09ed53a30c705402034878989e1d04274"
    ),
    JSON_SCHEMA: (
        "a5b4406c789d3d37fde8b8661d703a6e5e03e2dcf81ebc2367b0390a89dc2c53"
        "dd0a3fbddc686c08216cabe016b62e153acfbd4137b35f9974ccb340f9366fd6"
    ),
}
KEPT = Path(__file__).resolve().parents[2] / ".tools" / "schemas"
TIMEOUT_S = 120.0


def can_judge() -> bool:
    """Whether the schemas are here, or npm is, to get them."""
    return all(_kept(package).exists() for package in SHA512) or shutil.which("npm") is not None


def faults(document: Any) -> list[str]:
    """What the schema has against a document; nothing, if it is an OpenRPC document."""
    referred = DRAFT7.create_resource(_schema(JSON_SCHEMA))
    registry: referencing.Registry[Any] = referencing.Registry().with_resource(
        "https://meta.json-schema.tools", referred
    )
    judge = jsonschema.Draft7Validator(_schema(OPENRPC), registry=registry)
    return [f"{error.json_path}: {error.message}" for error in judge.iter_errors(document)]


def _schema(package: str) -> dict[str, Any]:
    kept = _kept(package)
    if not kept.exists():
        _fetch(package)
    assert hashlib.sha512(kept.read_bytes()).hexdigest() == SHA512[package], f"{kept} is not {package}; delete it"
    with tarfile.open(kept) as packed:
        script = packed.extractfile("package/index.js")
        assert script is not None
        found = re.search(r"^exports\.\w+ = (\{.*\});$", script.read().decode(), re.MULTILINE)
    assert found, f"{package} has its schema elsewhere"
    schema: dict[str, Any] = json.loads(found[1])
    return schema


def _kept(package: str) -> Path:
    return KEPT / f"{package.lstrip('@').replace('/', '-')}.tgz"


def _fetch(package: str) -> None:
    KEPT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=KEPT) as folder:
        command = ["npm", "pack", "--silent", "--pack-destination", folder, package]
        subprocess.run(command, check=True, capture_output=True, timeout=TIMEOUT_S, cwd=folder)
        (packed,) = Path(folder).glob("*.tgz")
        packed.replace(_kept(package))
