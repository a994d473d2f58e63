# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The log of readings of the cohorts that figures are reported on: who looks twice at one has tuned to it.

A cohort is read once with each set of weights. One line says that a reading has begun, one what it found; both are
committed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from simulator.manifest import Entry, read

READINGS: Final = Path(__file__).with_name("readings.jsonl")
"""The committed log, a JSON object a line, oldest first."""
KEPT: Final = ("independent", "enriched")
"""The cohorts whose readings are logged."""


def cohort_of_log(entries: Sequence[Entry]) -> str | None:
    """Return the name of the kept cohort that any of these studies is of; one study is a look at it."""
    return next((name for name in KEPT if not set(read(name)).isdisjoint(entries)), None)


def readings(path: Path = READINGS) -> list[dict[str, Any]]:
    """Return the lines of the log.

    Raises
    ------
    ValueError
        If a line is no JSON object.
    """
    if not path.exists():
        return []
    lines = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            lines.append(dict(json.loads(line)))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}, line {number}: {error}; put it right from the repository's history") from error
    return lines


def begin(
    path: Path, cohort: str, model_sha256: str, simulator: str, studies: int, *, again: str | None = None
) -> None:
    """Log that a kept cohort is read from here on.

    Parameters
    ----------
    studies: how many are read now.
    again: why weights that have read it read it again; None where they have not.

    Raises
    ------
    ValueError
        If these weights have read the cohort, and no reason is given.
    """
    before = [line for line in readings(path) if (line["cohort"], line["model_sha256"]) == (cohort, model_sha256)]
    if before and not again:
        raise ValueError(
            f"these weights read the cohort {cohort} on {before[0]['date']}, and a cohort is read once; give the "
            "reason with --again, which is logged too"
        )
    _append(path, "begun", cohort, model_sha256, simulator, {"studies": studies, "again": again})


def end(path: Path, cohort: str, model_sha256: str, simulator: str, figures: dict[str, Any]) -> None:
    """Log what was found; the same figures of the same weights are not logged twice."""
    same = [line for line in readings(path) if line["what"] == "read" and line["figures"] == figures]
    if not any((line["cohort"], line["model_sha256"]) == (cohort, model_sha256) for line in same):
        _append(path, "read", cohort, model_sha256, simulator, {"figures": figures})


def _append(path: Path, what: str, cohort: str, model_sha256: str, simulator: str, more: dict[str, Any]) -> None:
    """Write one line."""
    line = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "what": what,
        "cohort": cohort,
        "model_sha256": model_sha256,
        "simulator": simulator,
    }
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line | more) + "\n")
