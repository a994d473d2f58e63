# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A detector's answer for a whole study, and how good it is: what validation and the conversion's checks need.

A study is positive if any detection on any slice passes the threshold; the code that reads patients
(`appliance/reading`) decides which of its voxels are blood.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.reading.contract import EXTEND_SCORE, JOIN_MM, MATRIX, TYPES
from appliance.reading.detections import Run, study_detections
from appliance.reading.lesions import Criteria, Scored, lesions, type_labels
from appliance.reading.masks import Patch, only_clot, patch
from appliance.reading.pieces import even_coordinates_mm
from appliance.reading.roc import area_under_curve, pair_wins
from training.heads import Head

SPECK_VOXELS = 200  # about a quarter of a mL


@dataclass(frozen=True)
class LabelledStudy:
    """A study with its truth: hu int16 and labels uint8 [Z, 512, 512], and the distances of voxels (z, y, x) in mm."""

    hu: NDArray[np.int16]
    labels: NDArray[np.uint8]
    spacing_mm: tuple[float, float, float]


def scan_heads(heads: Iterable[Head]) -> Iterator[LabelledStudy]:
    """Yield each head as its own scanner sees it, one at a time; the thickness of its slices is used as their distance.

    The two differ if a scanner's slices overlap, by a quarter at most, and only the joining of pieces to lesions
    depends on it.
    """
    for head in heads:
        hu, labels = head.own_scan()
        yield LabelledStudy(hu, labels, (float(np.mean(head.scan.thickness_mm)), *head.scan.pixel_spacing_mm))


def study_score(found: Iterable[Scored]) -> float:
    """Return the study's score: the highest of any detection on any slice, 0 without one."""
    return max((detection.score for detection in found), default=0.0)


@dataclass(frozen=True)
class Quality:
    """How good a detector is on a set of studies.

    Attributes
    ----------
    scores, truths
        Of every study: its score, and the mL (or voxels) of blood in it.
    dice
        Over all voxels of all studies, by type, at `threshold`.
    """

    scores: NDArray[np.float64]
    truths: NDArray[np.float64]
    dice: dict[str, float]
    threshold: float

    @property
    def auc(self) -> float:
        """The area under the ROC curve of the study scores, NaN if all studies have blood or none."""
        return area_under_curve(self.scores[self.truths > 0], self.scores[self.truths == 0])

    @property
    def wins(self) -> NDArray[np.float64]:
        """The result of `pair_wins` for each study with blood (row) and each without (column)."""
        return pair_wins(self.scores[self.truths > 0], self.scores[self.truths == 0])

    def sensitivity(self, threshold: float) -> float:
        """The share of studies with blood that pass the threshold, NaN if none has blood."""
        return _mean(self.scores[self.truths > 0] >= threshold)

    def specificity(self, threshold: float) -> float:
        """The share of studies without blood that do not, NaN if all have blood."""
        return _mean(self.scores[self.truths == 0] < threshold)

    def best_threshold(self) -> float:
        """Return the threshold of the highest Youden index, in the middle of the range that reaches it.

        The middle on the log-odds scale: scores crowd near 0 and 1. It is 0.5 if all studies have blood or none.
        """
        if self.truths.all() or not self.truths.any():
            return 0.5
        cuts = np.unique(np.clip(np.concatenate([[0.05], self.scores, [0.999]]), 0.05, 0.9999))
        odds = np.log(cuts / (1 - cuts))
        middles = 1 / (1 + np.exp(-(odds[1:] + odds[:-1]) / 2))
        index = np.array([self.sensitivity(cut) + self.specificity(cut) for cut in middles])
        widths = np.where(index >= index.max() - 1e-9, odds[1:] - odds[:-1], 0)
        return round(float(middles[widths.argmax()]), 4)  # three places would turn 0.9996 into 1, which nothing passes

    def report(self) -> dict[str, object]:
        """Return the figures as plain values for a log or a provenance file, None where there is no figure."""
        return {
            "studies": len(self.scores),
            "with_blood": int((self.truths > 0).sum()),
            "auc": round_figure(self.auc),
            "threshold": self.threshold,
            "sensitivity": round_figure(self.sensitivity(self.threshold)),
            "specificity": round_figure(self.specificity(self.threshold)),
            "dice": {kind: round_figure(value) for kind, value in self.dice.items()},
        }


@dataclass(frozen=True)
class Outcome:
    """What is kept of a study after reading it: what was found, and where its blood is, which takes little memory.

    `found` are the detections' masks on their slices, without pixels brighter than clot, which needs the HU.
    """

    found: list[Patch]
    slices: int
    spacing_mm: tuple[float, float, float]
    places: NDArray[np.intp]
    labels: NDArray[np.uint8]


def read(run: Run, study: LabelledStudy) -> Outcome:
    """Return what the detector found in a study, and where its blood is."""
    places = np.flatnonzero(study.labels)
    found = [
        only_clot(patch(one, (MATRIX, MATRIX)), study.hu[one.slice_index], study.spacing_mm[1:])
        for one in study_detections(run, study.hu)
    ]
    return Outcome(found, len(study.labels), study.spacing_mm, places, study.labels.ravel()[places])


def quality(run: Run, studies: Iterable[LabelledStudy]) -> Quality:
    """Return how good a detector is on studies, at the threshold that suits them best; one is in memory at a time."""
    return judge([read(run, study) for study in studies])


def judge(readings: Sequence[Outcome]) -> Quality:
    """Return how good readings are at the threshold that suits them best.

    Specks do not influence the threshold: to catch a bleed of some voxels it would have to allow false alarms.
    """
    scores = np.array([study_score(one.found) for one in readings])
    truths = np.array([float(len(one.places)) for one in readings])
    plain = (truths == 0) | (truths >= SPECK_VOXELS)
    threshold = Quality(scores[plain], truths[plain], {}, 0.5).best_threshold()
    shared, total = np.zeros(len(TYPES)), np.zeros(len(TYPES))
    for one in readings:
        guess = label_volume(one.found, one.slices, threshold, one.spacing_mm).ravel()
        shared += 2 * _of_each_type(one.labels[guess[one.places] == one.labels])
        total += _of_each_type(guess) + _of_each_type(one.labels)
    dice = {str(kind): float(s / t) if t else float("nan") for kind, s, t in zip(TYPES, shared, total, strict=True)}
    return Quality(scores, truths, dice, threshold)


def label_volume(
    found: Iterable[Patch], slices: int, threshold: float, spacing_mm: tuple[float, float, float]
) -> NDArray[np.uint8]:
    """Return the labels [slices, 512, 512] that masks give; `spacing_mm` are the distances of voxels (z, y, x)."""
    shape = (slices, MATRIX, MATRIX)
    criteria = Criteria(threshold, min(EXTEND_SCORE, threshold), JOIN_MM)
    extents, _ = lesions(found, shape, even_coordinates_mm(shape, spacing_mm), criteria)
    return type_labels(extents, shape)


def round_figure(value: float) -> float | None:
    """Return a figure as JSON can say it: four places, None for NaN."""
    return None if np.isnan(value) else round(value, 4)


def _mean(values: NDArray[np.float64] | NDArray[np.bool_]) -> float:
    """Return the mean, NaN of nothing."""
    return float(np.mean(values)) if values.size else float("nan")


def _of_each_type(labels: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Return how many labels [N] are of each type, [3]."""
    return np.bincount(labels, minlength=len(TYPES) + 1)[1:]
