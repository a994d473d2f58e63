# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The doctor says whether the packages were compared with known vulnerabilities, and what was found."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from appliance.doctor.packages import compare_packages

LOCK = "numpy==2.4.6 \\\n    --hash=sha256:00\n"
TODAY = date(2026, 3, 15)
CLEAN = {"name": "numpy", "version": "2.4.6", "vulns": []}


def site(root: Path, *packages: dict[str, Any], fault: str = "", folder: str = "sbom") -> Path:
    """Lay out an installation with one lock and the report of its packages, as `pip-audit` writes one."""
    (root / "environments").mkdir()
    (root / "environments" / "service.lock").write_text(LOCK)
    (root / folder).mkdir(parents=True)
    locks = {"service": hashlib.sha256(LOCK.encode()).hexdigest()}
    record = {"made": "2026-03-01T10:00:00Z", "fault": fault, "locks": locks}
    (root / folder / "audit.json").write_text(json.dumps(record))
    if not fault:
        (root / folder / "service.audit.json").write_text(json.dumps({"dependencies": packages, "fixes": []}))
    return root


@pytest.mark.parametrize("folder", ["sbom", "var/sbom"])
def test_packages_without_known_vulnerabilities_are_well(tmp_path: Path, folder: str) -> None:
    check = compare_packages(site(tmp_path, CLEAN, folder=folder), TODAY)
    assert check.state == "ok"
    assert check.what == "1 packages compared with known vulnerabilities on 2026-03-01: none known"


def test_known_vulnerabilities_are_named_and_counted_and_the_report_too(tmp_path: Path) -> None:
    flaws = [{"id": f"PYSEC-{number}", "fix_versions": []} for number in range(7)]
    check = compare_packages(site(tmp_path, CLEAN | {"vulns": flaws}), TODAY)
    assert check.state == "warn"
    assert "7 known (numpy 2.4.6: PYSEC-0, " in check.what
    assert "PYSEC-4 and 2 more" in check.what
    assert str(tmp_path / "sbom") in check.remedy


def test_why_nothing_was_compared_is_told_and_is_no_fault(tmp_path: Path) -> None:
    check = compare_packages(site(tmp_path, fault="https://pypi.org cannot be read"), TODAY)
    assert (check.state, check.remedy) == ("ok", "")
    assert check.what == ("not compared with known vulnerabilities: https://pypi.org cannot be read (on 2026-03-01)")


def test_an_installation_without_a_report_says_so(tmp_path: Path) -> None:
    check = compare_packages(tmp_path, TODAY)
    assert check.state == "ok"
    assert check.what.startswith("not compared with known vulnerabilities: no report came with")


def test_a_report_of_other_packages_says_nothing_of_these(tmp_path: Path) -> None:
    root = site(tmp_path, CLEAN)
    (root / "environments" / "service.lock").write_text(LOCK + "# another\n")
    assert "is about other packages than these" in compare_packages(root, TODAY).what


def test_a_report_of_long_ago_is_a_warning(tmp_path: Path) -> None:
    check = compare_packages(site(tmp_path, CLEAN), date(2026, 10, 1))
    assert (check.state, check.remedy) == ("warn", "upgrade with a newer bundle")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"dependencies": []}',
        '{"dependencies": [{"name": "numpy", "skip_reason": "no"}]}',
        "[" * 100_000,
    ],
    ids=["empty", "list", "nothing", "no package", "skipped", "deep"],
)
def test_a_damaged_report_is_not_taken_for_a_clean_one(tmp_path: Path, text: str) -> None:
    root = site(tmp_path, CLEAN)
    (root / "sbom" / "service.audit.json").write_text(text)
    check = compare_packages(root, TODAY)
    assert (check.state, "cannot be read" in check.what) == ("warn", True)
