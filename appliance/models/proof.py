# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a version of the detector that Triton serves answers the golden volumes as the conversion recorded.

These are the golden chunk, and its head as a study of 20 slices, which the client reads in two chunks as it reads any
study. Every score that the conversion recorded has to come back within its bounds (`wrong_score`).
"""

from __future__ import annotations

import json
import time

import numpy as np
from numpy.typing import NDArray

from appliance.errors import ApplianceError
from appliance.inference.detections import Reading
from appliance.inference.detector import TritonDetector
from appliance.inference.golden import chunk
from appliance.inference.served_model import Target
from appliance.reading.contract import CHUNK_SLICES, CONTEXT_SLICES, MAX_DETECTIONS, SCORE_FLOOR, TYPES
from appliance.reading.golden import wrong_score
from appliance.sections.triton import TritonSettings


class NotProvenError(ApplianceError):
    """The version does not answer as it should; the text says how."""


def prove(settings: TritonSettings, target: Target) -> float:
    """Prove the model of a target, and return how long it takes for a study of 20 slices, s.

    Raises
    ------
    NotProvenError
        when it answers wrongly, or is not the model that it should be.
    UnavailableError, ModelContractError
        when Triton does not serve it, or serves one of another contract.
    """
    # Studies that arrive meanwhile go first, so this may take a while.
    detector = TritonDetector(settings, settings.timeout_s, lambda: (Target(target.served_as),))
    try:
        served = detector.identity.sha256
        if target.sha256 not in ("", served):
            raise NotProvenError(
                f"Triton serves {target.served_as} with sha256 {served[:12]}… and not {target.sha256[:12]}…; "
                "restart Triton, or see its log"
            )
        readiness = detector.check_readiness()
        if not readiness:
            raise NotProvenError(readiness.reason)
        begun = time.monotonic()
        reading = detector.read(chunk())
        taken_s = time.monotonic() - begun
        fault = head_fault(detector.golden, reading)
        if fault is not None:
            raise NotProvenError(f"the golden head came back wrong: {fault}")
        return taken_s
    finally:
        detector.close()


def head_fault(summary: str, reading: Reading) -> str | None:
    """Return how the reading of the golden head differs from the recorded `golden_summary`, None when it is right.

    The first and the last two slices of the head are the context of the recorded ones, and are not compared.
    """
    golden = json.loads(summary)
    expected = np.asarray(golden["scores"], np.float64).reshape(CHUNK_SLICES, len(TYPES))
    tolerance = float(golden["tolerance"])
    got = _slice_scores(reading)
    told_from = max(float(golden["lowest"]), SCORE_FLOOR)
    if len(reading.detections) >= MAX_DETECTIONS:  # fainter ones may have been cut off
        told_from = max(told_from, min(one.score for one in reading.detections))
    wrong = wrong_score(expected, got, told_from, tolerance)
    if wrong is None:
        return None
    at, of, allowed = wrong
    return (
        f"the highest {TYPES[of].display} score on slice {at + CONTEXT_SLICES} is {got[at, of]:.3f}, "
        f"not {expected[at, of]:.3f} ± {allowed:g}"
    )


def _slice_scores(reading: Reading) -> NDArray[np.float64]:
    """Return the highest score of each type on each recorded slice of the head [`CHUNK_SLICES`, 3]."""
    best = np.zeros((CHUNK_SLICES, len(TYPES)))
    for one in reading.detections:
        at = one.slice_index - CONTEXT_SLICES
        if 0 <= at < CHUNK_SLICES:
            best[at] = np.maximum(best[at], one.scores)
    return best
