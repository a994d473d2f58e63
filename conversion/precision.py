# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The precision gate: whether an engine of reduced precision answers studies as the reference does.

Both read the same simulated studies, through the code that reads patients' studies (`appliance/reading`): a study's
score is the highest of any detection, and its blood is that of the lesions at the model's threshold. The engine passes
if the area under the ROC curve falls by at most `MOST_AUC`, and Dice, for blood of any type and of each type, by at
most `MOST_DICE`. Fewer than `FEWEST_STUDIES` studies, or `FEWEST_POSITIVE` with blood, give figures but no pass.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from appliance.reading.contract import EXTEND_SCORE, JOIN_MM, TYPES
from appliance.reading.detections import Run, study_detections
from appliance.reading.golden import GOLDEN_TOLERANCE
from appliance.reading.lesions import Criteria, lesions, type_labels
from appliance.reading.masks import only_clot, patch
from appliance.reading.roc import area_under_curve, pair_wins
from conversion.studies import LabelledScan

MOST_AUC: Final = 0.002
MOST_DICE: Final = 0.005
FEWEST_STUDIES: Final = 200
FEWEST_POSITIVE: Final = 100
KINDS: Final = ("any", *map(str, TYPES))
"""The blood that Dice is computed for."""
_RESAMPLES: Final = 2000
_ROUNDING: Final = 1e-9


@dataclass(frozen=True)
class Outcome:
    """What is kept of a study after reading it.

    Attributes
    ----------
    score: the study's.
    shared, found, true: voxels of blood for each of `KINDS`: labelled and found, found, labelled.
    """

    score: float
    shared: tuple[int, ...]
    found: tuple[int, ...]
    true: tuple[int, ...]

    @property
    def positive(self) -> bool:
        """Whether the study has blood."""
        return self.true[0] > 0

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Outcome:
        """Return what `dataclasses.asdict` wrote."""
        return cls(float(values["score"]), *(tuple(map(int, values[name])) for name in ("shared", "found", "true")))


def read(run: Run, scan: LabelledScan, threshold: float) -> Outcome:
    """Return what a detector finds in a study, at a threshold."""
    criteria = Criteria(threshold, min(EXTEND_SCORE, threshold), JOIN_MM)
    spacing = scan.geometry.pixel_spacing_mm
    detections = study_detections(run, scan.hu)
    sure, unsure = criteria.may_count(detections)
    matrix = (scan.hu.shape[1], scan.hu.shape[2])
    patches = [only_clot(patch(one, matrix, spacing), scan.hu[one.slice_index], spacing) for one in (*sure, *unsure)]
    extents, _ = lesions(patches, scan.hu.shape, scan.coordinates_mm, criteria)
    found = type_labels(extents, scan.hu.shape)
    score = max((one.score for one in detections), default=0.0)
    return Outcome(score, *_counts(found, scan.labels))


def _counts(found: NDArray[np.uint8], true: NDArray[np.uint8]) -> tuple[tuple[int, ...], ...]:
    """Return the voxels of each of `KINDS` that are shared, found, and true."""
    labels = [kind.label for kind in TYPES]
    pairs = np.bincount(found.ravel() * np.uint8(len(TYPES) + 1) + true.ravel(), minlength=(len(TYPES) + 1) ** 2)
    table = pairs.reshape(len(TYPES) + 1, len(TYPES) + 1)  # rows: found, columns: true
    shared = [int(table[1:, 1:].sum()), *(int(table[label, label]) for label in labels)]
    of_found = [int(table[1:].sum()), *(int(table[label].sum()) for label in labels)]
    of_true = [int(table[:, 1:].sum()), *(int(table[:, label].sum()) for label in labels)]
    return tuple(shared), tuple(of_found), tuple(of_true)


@dataclass(frozen=True)
class Figures:
    """How good a detector is on studies: the area under the ROC curve, and Dice over all voxels by kind."""

    auc: float
    dice: dict[str, float]


def figures(outcomes: Sequence[Outcome]) -> Figures:
    """Return the figures of studies that were read."""
    auc = area_under_curve(*_scores(outcomes))
    return Figures(auc, dict(zip(KINDS, map(float, _dice(_voxels(outcomes).sum(axis=0))), strict=True)))


@dataclass(frozen=True)
class Verdict:
    """An engine against the reference on the same studies; falls are the reference's figure minus the engine's.

    Attributes
    ----------
    auc_fall_95, dice_fall_95: intervals of 95 %, by resampling studies (bootstrap).
    faults: why it does not pass; empty if it does.
    """

    figures: Figures
    auc_fall: float
    auc_fall_95: tuple[float, float]
    dice_fall: dict[str, float]
    dice_fall_95: dict[str, tuple[float, float]]
    faults: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether the engine may serve in the reference's place."""
        return not self.faults

    def as_json(self) -> dict[str, Any]:
        """Return the verdict as plain values."""
        return {
            "passed": self.passed,
            "faults": list(self.faults),
            **asdict(self.figures),
            "auc_fall": self.auc_fall,
            "auc_fall_95": list(self.auc_fall_95),
            "dice_fall": self.dice_fall,
            "dice_fall_95": {kind: list(ends) for kind, ends in self.dice_fall_95.items()},
        }


def golden_room(computed_in: str | None) -> float:
    """Return how far a score of the golden chunk may lie from the recorded one, for an engine of this precision.

    bfloat16 rounds differently on another CPU and with another number of threads. Half of a server's tolerance is left
    for that, because a server that misses it is never ready.
    """
    return GOLDEN_TOLERANCE / 2 if computed_in == "bf16" else GOLDEN_TOLERANCE


def judge(reference: Sequence[Outcome], engine: Sequence[Outcome], golden_fault: str | None = None) -> Verdict:
    """Return the verdict on an engine by what it and the reference found in the same studies, in the same order.

    `golden_fault` is how its answer to the golden chunk differs from the recorded one (`golden_matches`): a server with
    such an answer never becomes ready.

    Raises
    ------
    ValueError
        If they are not the same studies, or all have blood or none.
    """
    if [one.true for one in reference] != [one.true for one in engine]:
        raise ValueError("the two have not read the same studies")
    positive = sum(one.positive for one in reference)
    if positive in (0, len(reference)):
        raise ValueError("studies with and without blood are needed")
    before, after = figures(reference), figures(engine)
    auc_fall = before.auc - after.auc
    dice_fall = {kind: before.dice[kind] - after.dice[kind] for kind in KINDS}
    faults = []
    if len(reference) < FEWEST_STUDIES or positive < FEWEST_POSITIVE:
        faults.append(
            f"{len(reference)} studies, {positive} with blood: a pass takes {FEWEST_STUDIES} and {FEWEST_POSITIVE}"
        )
    if not auc_fall <= MOST_AUC + _ROUNDING:
        faults.append(f"AUC falls by {auc_fall:.4f}, more than {MOST_AUC:g}")
    for kind, fall in dice_fall.items():
        # If no study has blood of a kind, and neither finds any, there is no Dice.
        if not fall <= MOST_DICE + _ROUNDING and not (math.isnan(before.dice[kind]) and math.isnan(after.dice[kind])):
            faults.append(f"Dice of {kind} falls by {fall:.4f}, more than {MOST_DICE:g}")
    if golden_fault is not None:
        faults.append(f"the golden chunk: {golden_fault}")
    auc_95, dice_95 = _intervals(reference, engine)
    return Verdict(after, auc_fall, auc_95, dice_fall, dice_95, tuple(faults))


def _intervals(
    reference: Sequence[Outcome], engine: Sequence[Outcome]
) -> tuple[tuple[float, float], dict[str, tuple[float, float]]]:
    """Return the 95 % intervals of the falls of AUC and of Dice by kind."""
    rng = np.random.default_rng(0)
    lost = pair_wins(*_scores(reference)) - pair_wins(*_scores(engine))
    voxels = np.stack([_voxels(reference), _voxels(engine)])
    positives, negatives = lost.shape
    auc, dice = [], []
    for _ in range(_RESAMPLES):
        rows, columns = rng.integers(positives, size=positives), rng.integers(negatives, size=negatives)
        auc.append(float(lost[np.ix_(rows, columns)].mean()))
        drawn = rng.integers(len(reference), size=len(reference))
        before, after = _dice(voxels[:, drawn].sum(axis=1))
        dice.append(before - after)
    ends = np.nanpercentile(np.stack(dice), [2.5, 97.5], axis=0).T
    low, high = np.percentile(auc, [2.5, 97.5])
    return (float(low), float(high)), {
        kind: (float(one), float(other)) for kind, (one, other) in zip(KINDS, ends, strict=True)
    }


def _scores(outcomes: Sequence[Outcome]) -> tuple[list[float], list[float]]:
    """Return the scores of the studies with blood, and of those without."""
    return [one.score for one in outcomes if one.positive], [one.score for one in outcomes if not one.positive]


def _voxels(outcomes: Sequence[Outcome]) -> NDArray[np.int64]:
    """Return the voxels of studies, [N, 3, kinds]: shared, found, true."""
    return np.array([[one.shared, one.found, one.true] for one in outcomes], np.int64)


def _dice(voxels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return Dice by kind, [..., kinds], of voxels [..., 3, kinds]; NaN if none is found or true."""
    shared, found, true = np.moveaxis(voxels.astype(np.float64), -2, 0)
    total = found + true
    return np.asarray(np.divide(2 * shared, total, out=np.full(total.shape, np.nan), where=total > 0))
