# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whether the installed Python packages were compared with known vulnerabilities, when, and what was found.

The comparison is made where PyPI can be reached (`environments/advisories.py`) and comes with the installation.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from appliance.doctor.check import Check
from appliance.settings import Settings

_ROOT: Final = Path(__file__).resolve().parents[2]
_FOLDERS: Final = ("sbom", "var/sbom")
"""Where an installation has it, and where `make audit` puts it in a checkout."""
_RECORD: Final = "audit.json"
_NAME: Final = "packages"
_NAMED: Final = 5
"""How many vulnerabilities the doctor names; the reports have all."""
_OLD: Final = timedelta(days=183)
"""A report of before says little: vulnerabilities become known every week."""


def check_packages(_: Settings) -> Iterator[Check]:
    """Check what is known against the packages beside this program."""
    yield compare_packages(_ROOT, datetime.now(UTC).date())


def compare_packages(root: Path, today: date) -> Check:
    """Return what came of the comparison of the packages below `root`; that there was none is told, and is no fault."""
    folder = next((root / name for name in _FOLDERS if (root / name / _RECORD).exists()), None)
    if folder is None:
        return _not_compared("no report came with this installation; `make audit` makes one in a checkout")
    try:
        record = json.loads((folder / _RECORD).read_text())
        made, fault, locks = str(record["made"]), str(record["fault"]), dict(record["locks"])
        others = [name for name, digest in locks.items() if _sha256(root / "environments" / f"{name}.lock") != digest]
        if fault:
            return _not_compared(f"{fault} (on {made[:10]})")
        if others or not locks:
            return _not_compared(f"the report of {made[:10]} is about other packages than these; `make audit` again")
        packages = [package for name in locks for package in _read_report(folder / f"{name}.audit.json")]
        known = [f"{one['name']} {one['version']}: {each['id']}" for one in packages for each in one["vulns"]]
        day = date.fromisoformat(made[:10])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        return Check(
            _NAME,
            "warn",
            f"the report of known vulnerabilities in {folder} cannot be read ({type(error).__name__})",
            "install the bundle again; in a checkout, `make audit`",
        )
    compared = f"{len(packages)} packages compared with known vulnerabilities on {made[:10]}"
    if not known and today - day > _OLD:
        return Check(_NAME, "warn", f"{compared}: none known then, which is long ago", "upgrade with a newer bundle")
    if not known:
        return Check(_NAME, "ok", f"{compared}: none known")
    more = f" and {len(known) - _NAMED} more" if len(known) > _NAMED else ""
    return Check(
        _NAME,
        "warn",
        f"{compared}: {len(known)} known ({', '.join(known[:_NAMED])}{more})",
        f"read what each means in {folder}, and upgrade with a newer bundle",
    )


def _not_compared(reason: str) -> Check:
    return Check(_NAME, "ok", f"not compared with known vulnerabilities: {reason}")


def _read_report(file: Path) -> list[dict[str, Any]]:
    packages: list[dict[str, Any]] = json.loads(file.read_text())["dependencies"]
    if not packages:
        raise ValueError("a report about no package")
    return packages


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
