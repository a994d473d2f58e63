# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Records as a reading would have left them, without a scan or a network."""

from __future__ import annotations

from typing import Any

from benchmarks.accuracy.figures import Call
from benchmarks.accuracy.reading import OPERATING
from benchmarks.accuracy.record import Blood, FoundLesion, Operating, Record, TrueLesion

THRESHOLD = 0.9


def record(
    seed: int,
    diagnosis: str = "none",
    score: float = 0.1,
    true_ml: float = 10.0,
    found_ml: float | None = None,
    *,
    population: str = "realistic",
    condition: str = "as drawn",
    contrast_hu: float = 30.0,
    **more: Any,
) -> Record:
    """Return the record of a study with one lesion of its type, found where the score says so."""
    bleeds = diagnosis != "none"
    called = score >= THRESHOLD
    found = (true_ml if called else 0.0) if found_ml is None else found_ml
    blood = {kind: Blood(0.0, 0.0, 0.0) for kind in ("iph", "edh_sdh", "sah")}
    if bleeds:
        blood[diagnosis] = Blood(true_ml, found, min(true_ml, found))
    lesions = (FoundLesion(diagnosis if bleeds else "sah", found or 1.0, None, score, found if bleeds else 0.0),)
    return Record(
        **{
            "seed": seed,
            "diagnosis": diagnosis,
            "volume_ml": None,
            "population": population,
            "condition": condition,
            "score": score,
            "blood": blood,
            "shared_ml": min(true_ml, found) if bleeds else 0.0,
            "found_ml": found,
            "true_ml": true_ml if bleeds else 0.0,
            "found": lesions if called else (),
            "true": (TrueLesion(diagnosis, true_ml, None, contrast_hu, score),) if bleeds else (),
            "operating": tuple(
                Operating(at, int(bleeds and score >= at), int(not bleeds and score >= at)) for at in OPERATING
            ),
        }
        | more
    )


def reading(*arguments: Any, **options: Any) -> Call:
    """Return the reading of `record` at `THRESHOLD`."""
    return Call(record(*arguments, **options), THRESHOLD)


def paper_like() -> list[Call]:
    """Return 82 studies with blood, 78 called, and 600 without, 16 called: the paper's test cohort."""
    kinds = ["iph"] * 23 + ["edh_sdh"] * 38 + ["sah"] * 21
    missed = {23, 24, 61, 62}
    bleeding = [reading(i, kind, 0.2 if i in missed else 0.95, 5.0 + i) for i, kind in enumerate(kinds)]
    return bleeding + [reading(1000 + i, score=0.95 if i < 16 else 0.1) for i in range(600)]
