# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What a reader of CT would see of the simulator's heads, held to what scans show (`docs/sources.md` says who says so).

Shares and medians are over heads; fewer than 200 pairs get three standard errors, as in `bars.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from appliance.reading.contract import TYPES, HemorrhageType
from simulator.audit.bars import Bar
from simulator.audit.cases import Case
from simulator.audit.reader import SEEN_HU
from simulator.population import REALISTIC

MOST_BRIGHT: Final = 0.05
"""Share of labelled voxels above 100 HU, by volume (own): labels end at 100 HU before noise, and noise lifts some of
those beside bone over it. Labels that ran into bone had 0.2 to 0.6."""
THICK_ML: Final = 5.0
"""Extra-axial blood from here on is more than a film, and has voxels off the bone's blur to be measured."""
CONTRAST_HU: Final = (15.0, 45.0)
"""Blood of 50-80 HU beside brain of 30-37 HU with some fluid; less where it is old or mixed."""
LEAST_CLEAR: Final = 0.5
"""Share of extra-axial blood off bone's blur (own): a reader sees more of a collection than its edge."""
DEPTH_FOR_VOLUME: Final = (0.7, 1.5)
"""Of a crescent's; an epidural lens is half as deep again for its volume (16 mm at 15 mL)."""
SINUS_HU: Final = (43.0, 62.0)
"""52.8 +- 6.7 HU (Buyck et al., AJNR 2013), to one and a half standard deviations."""
FALX_SEEN: Final = {"falx behind": (0.78, 1.0), "falx in front": (0.23, 0.53)}
"""Seen behind in 88 % and in front in 38 % of 200 normal scans (Zimmerman et al., AJR 1982), within 10 and 15 %; behind
perhaps in all, as scanners of today show more than those of 1982."""
TENTORIUM_HU: Final = (30.0, 55.0)
"""Darker than the sinuses that it holds (own)."""
REAL_BRAINS_HU: Final = (22.9, 27.5)
REAL_FLUID: Final = (0.12, 0.15)
"""Of two real heads, measured outside this project."""
BRAIN_HU: Final = (23.0, 33.0)
FLUID: Final = (0.06, 0.18)
CISTERNAL_FROM_ML: Final = 15.0
MOSTLY_CISTERNAL: Final = (0.6, 1.0)
"""Much subarachnoid blood is aneurysmal (85 %) or perimesencephalic (van Gijn & Rinkel, Brain 2001), traumatic in the
rest."""


def usual_depth_mm(volume_ml: float) -> float:
    """Return how deep an extra-axial collection of a volume is, about (`blood/collection.py` says from whom)."""
    return float(3.5 * volume_ml**0.36)


def reader_bars(cases: Sequence[Case]) -> list[Bar]:
    """Return what a reader sees of blood, dura, brain and fluid against what scans show."""
    extraaxial = str(HemorrhageType.EDH_SDH)
    thick = [case for case in cases if case.volumes_ml.get(extraaxial, 0.0) >= THICK_ML]
    bars = [_bright_share(kind, cases) for kind in TYPES]
    depth = [
        case.reader.depth_mm / usual_depth_mm(case.volumes_ml[extraaxial]) for case in thick if case.reader.depth_mm
    ]
    bars += [
        _median(
            "extra-axial blood less brain, off bone's blur, HU",
            _figures_of(thick, "contrast_hu"),
            CONTRAST_HU,
            cases,
        ),
        _median("extra-axial blood off bone's blur, share", _figures_of(thick, "clear"), (LEAST_CLEAR, 1.0), cases),
        _median("depth of extra-axial blood to the usual one for its volume", depth, DEPTH_FOR_VOLUME, cases),
        _median("dural sinus, HU", _dura(cases, "sinus"), SINUS_HU, cases),
        _median("tentorium in 5 mm slices, HU", _dura(cases, "tentorium"), TENTORIUM_HU, cases),
    ]
    for name, allowed in FALX_SEEN.items():
        rises = [case.reader.dura_rise_hu[name] for case in cases if name in case.reader.dura_rise_hu]
        bars.append(_share(f"{name} seen, share of heads", rises, lambda rise: rise >= SEEN_HU, allowed, cases))
    realistic = _figures_of([case for case in cases if case.entry.population == REALISTIC.name], "brain_hu")
    bars += [
        _median("brain above the base in realistic scans, HU", realistic, BRAIN_HU, cases),
        _share(
            "realistic brains darker than the brighter of two real ones, share of heads",
            realistic,
            lambda hu: hu <= REAL_BRAINS_HU[1],
            (0.1, 0.9),
            cases,
        ),
        _median("fluid of the deep brain, share", _figures_of(cases, "fluid"), FLUID, cases),
    ]
    much = [case for case in cases if case.volumes_ml.get(str(HemorrhageType.SAH), 0.0) >= CISTERNAL_FROM_ML]
    bars.append(
        _share(
            "much subarachnoid blood mostly in cisterns and fissures, share of heads",
            _figures_of(much, "cisternal"),
            lambda share: share >= 0.5,
            MOSTLY_CISTERNAL,
            cases,
        )
    )
    return bars


def _bright_share(kind: HemorrhageType, cases: Sequence[Case]) -> Bar:
    """Return the share of a type's labelled voxels above 100 HU, all heads' together: a speck says little."""
    subject = f"{kind} voxels above 100 HU, share"
    shares = {case.entry.name: case.reader.bright.get(str(kind), 0.0) for case in cases}
    volumes = {case.entry.name: case.volumes_ml.get(str(kind), 0.0) for case in cases}
    total = sum(volumes.values())
    if not total:
        return _of_nothing(subject, cases)
    pooled = sum(shares[name] * volume for name, volume in volumes.items()) / total
    note = _spread([shares[name] for name, volume in volumes.items() if volume])
    return Bar(subject, pooled, 0.0, MOST_BRIGHT, sum(volume > 0 for volume in volumes.values()), note)


def _figures_of(cases: Sequence[Case], name: str) -> list[float]:
    """Return a reader's figure of the cases that have it."""
    return [value for case in cases if (value := getattr(case.reader, name)) is not None]


def _dura(cases: Sequence[Case], name: str) -> list[float]:
    """Return the HU of a sheet or sinus of the cases that show it."""
    return [case.reader.dura_hu[name] for case in cases if name in case.reader.dura_hu]


def _median(subject: str, values: Sequence[float], allowed: tuple[float, float], cases: Sequence[Case]) -> Bar:
    """Return a bar on the median, wider by three standard errors in a small audit; one of nothing holds there alone."""
    low, high = allowed
    if not values:
        return _of_nothing(subject, cases)
    # By quartiles: a few heads with contrast agent in their sinuses would widen it beyond all sense.
    spread = float(np.subtract(*np.percentile(values, [75, 25]))) / 1.349
    slack = float(3 * 1.25 * spread / np.sqrt(len(values))) if len(cases) < 200 else 0.0
    low, high = low - slack, high + slack
    return Bar(subject, float(np.median(values)), low, high, len(values), _spread(values))


def _share(
    subject: str,
    values: Sequence[float],
    counts: Callable[[float], bool],
    allowed: tuple[float, float],
    cases: Sequence[Case],
) -> Bar:
    """Return a bar on the share of values that count, wider by three standard errors in a small audit."""
    if not values:
        return _of_nothing(subject, cases)
    slack = float(3 * 0.5 / np.sqrt(len(values))) if len(cases) < 200 else 0.0
    share = float(np.mean([counts(value) for value in values]))
    return Bar(subject, share, max(0.0, allowed[0] - slack), min(1.0, allowed[1] + slack), len(values), _spread(values))


def _of_nothing(subject: str, cases: Sequence[Case]) -> Bar:
    """Return a bar on no head at all: a whole audit that has none is broken, a small one may have none."""
    return Bar(subject, 0.0 if len(cases) < 200 else float("nan"), 0.0, 0.0, 0, "no head of the audit shows it")


def _spread(values: Sequence[float]) -> str:
    """Return where nine of ten values lie."""
    low, high = np.percentile(values, [5, 95])
    return f"nine of ten between {low:.3g} and {high:.3g}"
