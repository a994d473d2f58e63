# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python environments/advisories.py FOLDER`: compares what a site gets with PyPI's known vulnerabilities.

It writes into FOLDER what `pip-audit` reports of each lock (`service.audit.json`, `triton.audit.json`), and
`audit.json` with the time, the sha256 of each lock, and why there is no report, if there is none: `appliance doctor`
shows it. Exit 0 when none is known, 1 when some are, 2 when nothing was compared.

`pip-audit` calls packages clean when an index answers without advisories, as mirrors do. So a release that has known
vulnerabilities is asked for first: where none of its own are told, nothing is known of any other.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

KNOWN = "https://pypi.org/pypi/jinja2/2.4.1/json"
"""A release of 2010 with several advisories."""
TIMEOUT_S = 30
HERE = Path(__file__).resolve().parent
LISTS = ("service", "triton")
RECORD = "audit.json"


def find_fault(url: str = KNOWN) -> str:
    """Return why the advisories cannot be read; empty when they can."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            told = json.load(answer)
        advisories = told.get("vulnerabilities")
    except (OSError, ValueError, AttributeError) as error:
        return f"{url} cannot be read ({getattr(error, 'reason', None) or error or type(error).__name__})"
    return "" if advisories else f"{url} tells of no advisory, and there are some: a mirror without them?"


def write_reports(folder: Path) -> str:
    """Write what `pip-audit` reports of each lock into a folder; return why one is missing, empty when none is."""
    program = Path(sys.executable).with_name("pip-audit")
    if not program.exists():
        return f"{program} is not there; `make audit` makes its environment"
    options = ["--strict", "--require-hashes", "--disable-pip", "--progress-spinner", "off", "--format", "json"]
    for name in LISTS:
        report = folder / f"{name}.audit.json"
        done = subprocess.run(
            [program, *options, "--output", report, "--requirement", HERE / f"{name}.lock"],
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if not report.exists():
            return f"pip-audit made no report of {name}.lock ({(done.stderr.strip().splitlines() or ['no word'])[-1]})"
    return ""


def known_vulnerabilities(folder: Path) -> list[str]:
    """Return each known vulnerability in a folder's reports, as `package version: identifier`."""
    return [
        f"{package['name']} {package['version']}: {vulnerability['id']}"
        for name in LISTS
        for package in json.loads((folder / f"{name}.audit.json").read_text())["dependencies"]
        for vulnerability in package["vulns"]
    ]


def main(folder: Path, url: str = KNOWN) -> int:
    """Write the reports or why there are none, say which vulnerabilities are known, and return the exit status."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in LISTS:  # an older report is of other packages, or of another day
        (folder / f"{name}.audit.json").unlink(missing_ok=True)
    fault = find_fault(url) or write_reports(folder)
    record = {
        "made": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "fault": fault,
        "locks": {name: hashlib.sha256((HERE / f"{name}.lock").read_bytes()).hexdigest() for name in LISTS},
    }
    (folder / RECORD).write_text(json.dumps(record, indent=1) + "\n")
    if fault:
        print(
            f"Not audited: {fault}. No package of environments/service.lock and environments/triton.lock was compared "
            "with known vulnerabilities; none is known to be free of them. Run `make audit` where pypi.org can be "
            "reached.",
            file=sys.stderr,
        )
        return 2
    known = known_vulnerabilities(folder)
    print(*known, sep="\n", end="\n" if known else "")
    print(f"{len(known) or 'No'} known vulnerabilities; the reports are in {folder}")
    return 1 if known else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
