# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Months of simulated studies as rows, and a ledger that holds them.

Numbers follow what simulated heads give (the rows of the shipped reference are such): that drawn rows suffice here is
because nothing that compares them sees an image.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from appliance.drift.features import ABSENT, PRESENT, Row
from appliance.ledger.ledger import Ledger
from appliance.ledger.records import ResultObject
from tests.appliance.ledger import course

MODEL = {"name": "hemorrhage_detector", "version": "3", "sha256": "ab" * 32}
POSITIVE = 0.15
SCANNERS = (("ACME One", "H30", 0.6), ("ACME Two", "H31", 0.3), ("Beta S", "FC21", 0.1))
INPUTS = ("brain_hu", "noise_hu", "fluid_share", "thickness_mm", "distance_mm", "pixel_mm", "kernel", "scanner", "kvp")


def month(seed: int, studies: int, positive: float = POSITIVE) -> list[Row]:
    """Return the rows of so many studies of one population."""
    random = np.random.default_rng(seed)
    rows: list[Row] = []
    for _ in range(studies):
        scanner, kernel, _ = SCANNERS[int(random.choice(len(SCANNERS), p=[share for *_, share in SCANNERS]))]
        thickness = float(random.choice([2.5, 5.0], p=[0.3, 0.7]))
        row: Row = {
            "brain_hu": round(random.normal(30, 2.5), 3),
            "noise_hu": round(random.lognormal(1.3, 0.25), 3),
            "fluid_share": round(random.beta(4, 40), 4),
            "thickness_mm": thickness,
            "distance_mm": thickness,
            "pixel_mm": round(random.normal(0.46, 0.02), 3),
            "kernel": kernel,
            "scanner": scanner,
            "kvp": str(random.choice(["120", "100"], p=[0.9, 0.1])),
        }
        bleeds = bool(random.random() < positive)
        row["present"] = PRESENT if bleeds else ABSENT
        row["score"] = float(random.beta(8, 1) if bleeds else random.beta(1, 5) * 0.8)
        if bleeds:
            row["iph_ml"] = row["volume_ml"] = float(random.lognormal(2, 1))
        rows.append(row)
    return rows


def changed(rows: list[Row], change: Callable[[Row], Row]) -> list[Row]:
    """Return the rows with one thing changed in each."""
    return [{**row, **change(row)} for row in rows]


def answer_of(row: Row, model: dict[str, str] = MODEL) -> dict[str, Any]:
    """Return the answer from which a row comes, as the ledger keeps it."""
    present = row["present"] == PRESENT
    lesions = [{"type": "iph", "volume_ml": row["iph_ml"]}] if present else []
    measured = {name: row[name] for name in INPUTS}
    return {
        "model": model, "present": present, "probability": row["score"], "lesions": lesions, "measured": measured
    }  # fmt: skip


def answer(ledger: Ledger, number: int, at: float, told: dict[str, Any]) -> None:
    """Let a study be answered at a time (Unix seconds) as the ledger takes it in."""
    name = f"study{number}"
    course.queue(ledger, name, at)
    job = course.claim(ledger)
    result = ResultObject(f"instance {name}", f"series {name}", "sr", f"1.7.{number}")
    ledger.jobs.deliver(job, [result], told, (), "c", "1.9")
    ledger.jobs.finish(job, "1.88", f"1.7.{number}", {}, None)
