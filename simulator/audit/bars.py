# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What the audit holds the simulator to: each bar with the figure measured, the range allowed, and who says so.

Ranges of areas are 0.45 to 0.55, wider only where chance alone leaves it: three standard deviations of the area when
blood is dealt to the same studies by chance. Medians over few heads get three standard errors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from appliance.reading.contract import SizeClass
from simulator.audit.cases import Case, Seen
from simulator.audit.classifiers import Features, Trial, trials
from simulator.diagnosis import Diagnosis
from simulator.manifest import Entry
from simulator.sizes import TEST_COHORT, TEST_QUARTILES_ML

PAPER_AUC: Final = 0.983
"""Of the paper's network in cross-validation (Results, "ICH Detection")."""
DETECTOR_AUC: Final = 0.74
"""A threshold must stay below this: half of the paper's way from chance (0.5) to its 0.983.

A network's figures then rest on more than brightness by at least as much as on it. Blood that is always bright, or
heads without calcium, contrast and dense dura, bring a threshold above it."""
_CHANCE: Final = 0.05
_SPREADS: Final = 3.0

TISSUE_HU: Final[Mapping[str, tuple[float, float]]] = {
    "grey": (37.0, 41.0),
    "white": (26.0, 32.0),
    "CSF": (0.0, 12.0),
    "blood": (50.0, 80.0),
}
"""Medians over heads: the usual figures of tissue, and of blood of all ages, thinned or not (see `tissue.py`,
`blood/clot.py` and `docs/sources.md`)."""
CONTRAST_HU: Final = (3.0, 12.0)
"""Grey less white matter, in nine of ten heads."""
NOISE_HU: Final = (2.0, 10.0)
"""Standard deviation in mid-brain at 5 mm, in nine of ten scanners. Clinical head scans have a grey-white contrast of
twice their noise, so noise of 3-5 HU (`docs/sources.md`); training goes beyond on both sides."""
NOISE_MEAN_PER_MM: Final = (0.1, 0.65)
"""Mean frequency of the noise power, smooth to sharp kernels (Boedeker & McNitt-Gray, Phys Med Biol 2007), in nine of
ten scanners."""
EDGE_MM: Final = (0.5, 1.4)
"""Full width at half maximum of the point spread, in-plane: 0.5-1.2 mm, and the pixel's own blur; in nine of ten."""


@dataclass(frozen=True)
class Bar:
    """One figure against what is allowed.

    Attributes
    ----------
    subject: what was measured.
    value: the figure.
    low, high: what is allowed.
    studies: how many it was measured on.
    note: what tells most where it is broken, or where the range comes from.
    """

    subject: str
    value: float
    low: float
    high: float
    studies: int
    note: str = ""

    @property
    def holds(self) -> bool:
        """Whether the figure is within what is allowed; one that is not a number never is."""
        return bool(self.low <= self.value <= self.high)


def failure_bar(cases: Sequence[Case], failed: Mapping[str, str]) -> Bar:
    """Return how many pairs are missing from the cases, and what went wrong in each, by the bleeding study's name."""
    errors = "; ".join(f"{name}: {error}" for name, error in failed.items())
    return Bar("pairs that could not be made", len(failed), 0, 0, 2 * (len(cases) + len(failed)), errors)


def header_bars(cases: Sequence[Case], cohorts: Mapping[str, tuple[Sequence[Entry], Sequence[Features]]]) -> list[Bar]:
    """Return what headers alone tell: those of the written pairs, and planned ones of cohorts (entries, features)."""
    found = trials(*_pair_up(cases, lambda seen: seen.headers))
    bars = _trial_bars("headers of the pairs", found, 2 * len(cases), _few(cases))
    differing = {
        name
        for case in cases
        for one, other in (
            (case.bleeding.headers, case.healthy.headers),
            (case.bleeding.digests, case.healthy.digests),
        )
        for name in set(one) | set(other)
        if one.get(name) != other.get(name)
    }
    bars.append(
        Bar("attributes that differ within a pair", len(differing), 0, 0, 2 * len(cases), ", ".join(sorted(differing)))
    )
    for name, (entries, features) in cohorts.items():
        bleeds = np.array([entry.diagnosis is not Diagnosis.NONE for entry in entries])
        heads = np.array([entry.seed for entry in entries])
        bars += _trial_bars(f"headers of {name}", trials(features, bleeds, heads), len(entries), 1.0)
    return bars


def image_bars(cases: Sequence[Case]) -> list[Bar]:
    """Return what the image around the bleed tells, and whether the heads of a pair are the same outside the brain."""
    found = trials(*_pair_up(cases, lambda seen: seen.surroundings))
    changed = max(case.changed_bone for case in cases)
    return [
        *_trial_bars("image with the bleed masked out", found, 2 * len(cases), _few(cases)),
        Bar("voxels outside the cavity that differ within a pair, share", changed, 0, 0, 2 * len(cases)),
    ]


def detector_bars(cases: Sequence[Case]) -> list[Bar]:
    """Return how well the 60 HU detector does: far below the network, beyond what chance gives it."""
    _, bleeds, _ = _pair_up(cases, lambda seen: {"": seen.dense_ml})
    dense = np.array([seen.dense_ml for case in cases for seen in (case.bleeding, case.healthy)])
    area = float(roc_auc_score(bleeds, dense))
    # Hanley & McNeil, Radiology 1982: the standard error of an area.
    one, two = area / (2 - area), 2 * area**2 / (1 + area)
    rest = (len(cases) - 1) * (one + two - 2 * area**2)
    error = float(np.sqrt(max(0.0, area * (1 - area) + rest)) / len(cases))
    note = f"the paper's network has {PAPER_AUC}"
    # A fifth of that way below chance: what marks heads without blood would be a hint as well.
    low = 0.5 - (PAPER_AUC - 0.5) / 5 - 2 * error * _few(cases)
    return [Bar("60 HU detector, AUC", area, low, DETECTOR_AUC + 2 * error * _few(cases), 2 * len(cases), note)]


def physics_bars(cases: Sequence[Case]) -> list[Bar]:
    """Return tissue, noise and edges against what is cited."""
    bars = []
    for name, (low, high) in TISSUE_HU.items():
        values = [case.blood_hu if name == "blood" else case.tissue_hu.get(name) for case in cases]
        there = np.array([value for value in values if value is not None])
        slack = _SPREADS * 1.25 * float(there.std()) / np.sqrt(max(1, len(there))) * _few(cases) if len(there) else 0.0
        middle = float(np.median(there)) if len(there) else float("nan")
        note = _outliers(
            [(case, value) for case, value in zip(cases, values, strict=True) if value is not None], low, high
        )
        bars.append(Bar(f"{name}, median HU", middle, low - slack, high + slack, len(there), note))
    contrast = [case.tissue_hu["grey"] - case.tissue_hu["white"] for case in cases if len(case.tissue_hu) == 3]
    ranges: list[tuple[str, Sequence[float], tuple[float, float]]] = [
        ("grey less white of 3-12 HU", contrast, CONTRAST_HU),
        ("noise of 2-10 HU at 5 mm", [case.scanner.noise_hu for case in cases], NOISE_HU),
        ("noise of 0.1-0.65 / mm", [case.scanner.mean_per_mm for case in cases], NOISE_MEAN_PER_MM),
        ("edges of 0.5-1.4 mm", [case.scanner.edge_mm for case in cases], EDGE_MM),
    ]
    for name, measured, (low, high) in ranges:
        within = float(np.mean([low <= value <= high for value in measured])) if measured else float("nan")
        slack = _SPREADS * float(np.sqrt(0.09 / max(1, len(measured)))) * _few(cases)
        bars.append(Bar(f"{name}, share of heads", within, 0.9 - slack, 1.0, len(measured)))
    return bars


def _outliers(found: Iterable[tuple[Case, float]], low: float, high: float, most: int = 3) -> str:
    """Return the heads farthest outside a range with their mimics, which may explain them."""
    beyond = sorted(((max(low - value, value - high), value, case) for case, value in found), key=lambda one: -one[0])
    return "; ".join(
        f"{case.entry.name} {value:.1f} ({', '.join(case.mimics) or 'no mimic'})"
        for away, value, case in beyond[:most]
        if away > 0
    )


def size_bars(cases: Sequence[Case], independent: Sequence[Entry]) -> list[Bar]:
    """Return types and sizes of the independent cohort against Table 1, and how near bleeds grow to what is asked."""
    volumes = [entry.volume_ml for entry in independent if entry.volume_ml is not None]
    counts = Counter(
        (entry.diagnosis, SizeClass.of(entry.volume_ml)) for entry in independent if entry.volume_ml is not None
    )
    off = sum(
        abs(counts[diagnosis, size] - count)
        for diagnosis, sizes in TEST_COHORT.items()
        for size, count in sizes.items()
    )
    bars = [Bar("independent cohort: positives off Table 1", off, 0, 0, len(independent))]
    for share, middle in zip((25, 50, 75), TEST_QUARTILES_ML, strict=True):
        value = float(np.percentile(volumes, share))
        bars.append(Bar(f"independent cohort: {share} % below, mL", value, 0.9 * middle, 1.1 * middle, len(volumes)))
    empty = sum(case.volume_ml <= 0 for case in cases)
    bars.append(Bar("positives without a labelled voxel of their type", empty, 0, 0, len(cases)))
    return bars


def _few(cases: Sequence[Case]) -> float:
    """Return 1 for a small audit, 0 from 200 pairs on: the whole audit gets no allowance."""
    return float(len(cases) < 200)


def _pair_up(
    cases: Iterable[Case], kept: Callable[[Seen], Features]
) -> tuple[list[Features], NDArray[np.bool_], NDArray[np.int64]]:
    """Return features, who bleeds, and whose head it is, of all scans."""
    features: list[Features] = []
    heads = []
    for case in cases:
        features += [kept(case.bleeding), kept(case.healthy)]
        heads += [case.entry.seed] * 2
    return features, np.arange(len(heads)) % 2 == 0, np.array(heads)


def _trial_bars(subject: str, found: Iterable[Trial], studies: int, allowance: float) -> list[Bar]:
    """Return a bar for each classifier; `allowance` is 1 where chance widens it, 0 where it does not."""
    bars = []
    for trial in found:
        slack = max(_CHANCE, _SPREADS * trial.by_chance * allowance)
        hints = ", ".join(f"{name} alone {area:.2f}" for name, area in trial.hints)
        bars.append(Bar(f"{subject}, {trial.classifier}, AUC", trial.auc, 0.5 - slack, 0.5 + slack, studies, hints))
    return bars
