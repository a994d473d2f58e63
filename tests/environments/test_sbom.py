# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`make sbom` lists all that a site's machine gets, each package with its version and every hash of its lock."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LISTS = ("service", "triton")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What `make sbom` needs of a checkout, with its environment where that has been made."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copytree(ROOT / "environments", tmp_path / "environments")
    (tmp_path / "deploy").mkdir()
    shutil.copy(ROOT / "deploy" / "install-system-packages.sh", tmp_path / "deploy")
    digest = hashlib.sha256((ROOT / "environments" / "audit.lock").read_bytes()).hexdigest()
    if (ROOT / ".venv-audit" / f".installed-{digest[:12]}").exists():
        (tmp_path / ".venv-audit").symlink_to(ROOT / ".venv-audit")
    return tmp_path


def make(checkout: Path) -> dict[str, dict[str, Any]]:
    """Run `make sbom` and return each list."""
    made = subprocess.run(["make", "sbom"], cwd=checkout, capture_output=True, text=True, check=False)
    if made.returncode and not (checkout / ".venv-audit" / "bin" / "cyclonedx-py").exists():
        pytest.skip(f"its environment cannot be made here: {made.stderr[-300:]}")
    assert made.returncode == 0, made.stderr
    return {name: json.loads((checkout / "var" / "sbom" / f"{name}.cdx.json").read_text()) for name in LISTS}


def locked(file: Path) -> dict[tuple[str, str], set[str]]:
    """Return the hashes of each package of a lock, by name and version."""
    found: dict[tuple[str, str], set[str]] = {}
    for entry in re.split(r"\n(?=[A-Za-z0-9])", file.read_text()):
        package = re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?==(\S+)", entry)
        if package:
            found[package[1].lower(), package[2]] = set(re.findall(r"--hash=sha256:([0-9a-f]{64})", entry))
    return found


def listed(document: dict[str, Any]) -> dict[tuple[str, str], set[str]]:
    return {
        (component["name"].lower(), component["version"]): {
            told["content"]
            for reference in component["externalReferences"]
            for told in reference["hashes"]
            if told["alg"] == "SHA-256"
        }
        for component in document["components"]
    }


def test_every_package_of_the_locks_is_listed_with_its_hashes_and_nothing_else(checkout: Path) -> None:
    before = make(checkout)
    for name, document in before.items():
        packages = locked(checkout / "environments" / f"{name}.lock")
        assert len(packages) > 5
        assert all(packages.values()), "a package of the lock has no hash"
        assert document["bomFormat"] == "CycloneDX"
        assert listed(document) == packages
        assert all(one["purl"] == f"pkg:pypi/{one['name']}@{one['version']}" for one in document["components"])
    lock = checkout / "environments" / "triton.lock"
    lock.write_text(f"{lock.read_text()}\nanother-package==1.2.3 \\\n    --hash=sha256:{'ab' * 32}\n")
    after = make(checkout)
    assert after["service"] == before["service"], "the same lock makes the same list"
    assert listed(after["triton"]) == listed(before["triton"]) | {("another-package", "1.2.3"): {"ab" * 32}}
