# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What heads and scanners measure: HU of pure tissue, and noise and edges as `scanner/measured.py` finds them.

Tissue is measured before the scanner, whose offset and gain are errors of calibration and not of tissue.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from simulator.head import SimulatedHead
from simulator.scanner import Scanner
from simulator.scanner.measured import Curve, edge_spread, noise_power

PURE: Final = 0.97
"""A voxel is of one tissue when that fills so much of it."""
_FEW: Final = 50  # voxels of a tissue are too few to measure
_SLICES: Final = 6  # of the phantom
FWHM_PER_EDGE: Final = 2.355 / 2.563
"""10 to 90 % of an edge that a Gaussian blurs is 2.563 of its sigma, the full width at half maximum 2.355."""


@dataclass(frozen=True)
class ScannerFigures:
    """What one scanner does to a phantom of a head's size.

    Attributes
    ----------
    noise_hu: standard deviation in its middle at 5 mm.
    frequency_per_mm, power: the noise power there, its largest value 1.
    mean_per_mm: mean frequency of the noise power.
    edge_mm: width of an edge, as the full width at half maximum of the point spread that gives it.
    """

    noise_hu: float
    frequency_per_mm: tuple[float, ...]
    power: tuple[float, ...]
    mean_per_mm: float
    edge_mm: float


def tissue_hu(head: SimulatedHead) -> dict[str, float]:
    """Return the median HU of pure grey and white matter and CSF of a head without blood, in the whole brain."""
    anatomy = head.anatomy
    inside = head.hu[anatomy.cavity_box]
    found = {}
    for name, fraction in zip(("grey", "white", "CSF"), anatomy.fractions, strict=True):
        pure = inside[fraction > PURE]
        if pure.size > _FEW:
            found[name] = float(np.median(pure))
    return found


def blood_hu(head: SimulatedHead) -> float | None:
    """Return the median HU of pure blood in a head, None where there is too little of it."""
    pure = []
    for blood in head.blood:
        low = [int(v) for v in blood.low]
        box = tuple(slice(a, a + n) for a, n in zip(low, blood.fraction.shape, strict=True))
        pure.append(head.hu[box][blood.fraction > PURE])
    values = np.concatenate(pure) if pure else np.zeros(0)
    return float(np.median(values)) if values.size > _FEW else None


def measure_scanner(scanner: Scanner, seed: int) -> ScannerFigures:
    """Return what a scanner does to the phantom, its noise drawn from `seed`."""
    frequency, power = noise_power(scanner, slices=_SLICES, seed=seed)
    # A ring of frequencies has their circumference.
    ring = power * 2 * np.pi * frequency * (frequency[1] - frequency[0])
    return ScannerFigures(
        noise_hu=float(np.sqrt(ring.sum())),
        frequency_per_mm=tuple(frequency.tolist()),
        power=tuple((power / power.max()).tolist()),
        mean_per_mm=float((ring * frequency).sum() / ring.sum()),
        edge_mm=_edge_mm(edge_spread(scanner, slices=_SLICES, seed=seed)),
    )


def _edge_mm(edge: Curve) -> float:
    """Return the full width at half maximum (mm) of the point spread that an edge, falling from 1 to 0, shows."""
    distance, value = edge
    # Where it last leaves 90 % and first reaches 10 %: overshoot on either side does not count.
    upper = int(np.flatnonzero(value >= 0.9)[-1])
    lower = upper + int(np.flatnonzero(value[upper:] <= 0.1)[0])
    at = np.interp([-0.9, -0.1], -value[upper : lower + 1], distance[upper : lower + 1])
    return float((at[1] - at[0]) * FWHM_PER_EDGE)
