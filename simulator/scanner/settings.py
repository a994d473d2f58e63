# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The settings of one scanner realisation, and how a population's are drawn.

Ranges for training are wider than life, because networks trained on it meet scanners nobody described; the realistic
ones are those of clinical head protocols: noise of 2-6 HU at 5 mm, brain within some HU of what tissue would measure
(three scanners of one hospital differed by 1-10 HU in grey and 1-8 HU in white matter of normal brains), a point spread
of soft-tissue kernels of 0.6-1 mm (what backs these: `docs/sources.md`), and of beam hardening and cupping no more than
some HU at the rim of the brain. Kernel and noise go together: a sharper kernel has its noise at higher frequencies.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial

import numpy as np

from simulator.population import TRAINING, KernelFamily, Population, ScannerRange

NOISE_PEAK_TIMES_PSF = 0.2  # peak of the noise power (1/mm) x point spread (mm) of ordinary kernels


class Kernel(StrEnum):
    """The reconstruction kernel of a series."""

    SOFT = "soft"
    BONE = "bone"


@dataclass(frozen=True)
class Scanner:
    """One realisation of a scanner.

    Attributes
    ----------
    noise_hu: standard deviation in the middle of the head at 5 mm thickness.
    noise_contrast: how much the noise follows what rays cross; less than 1 where the tube current does.
    psf_mm: full width at half maximum of the Gaussian point spread, mm.
    overshoot, overshoot_per_mm: relative rise of the mid frequencies, which makes edges overshoot, and where it is.
    noise_peak_per_mm: spatial frequency at which the noise power of the kernel peaks.
    blotch: share of the noise variance that is blotchy, as iterative reconstruction leaves it, 0 to 1.
    denoising: how far edge-preserving smoothing goes, 0 to 1; no scanner of training does any.
    slice_blur: the share of each neighbour in a slice, as the wide slice profile of a helical scan gives it.
    streaks: strength of streaks along starved rays; 1 is what counting photons gives.
    hardening: strength of bone's beam hardening: the rim along the skull, bars between petrous bones.
    cupping_hu: how much brighter the rim of the head is than its middle; negative is capping.
    glare_hu, glare_mm: what bone spills onto its surroundings, HU for bone of +1000, and how far.
    windmill_hu: helical windmills where bone begins or ends between slices.
    metal_hu: strength of the stars about metal.
    motion_mm: how far the head moves during some slices.
    round_field: whether there is nothing outside the circle of the field of view.
    step_hu: HU are stored in steps of this.
    offset_hu, gain: HU become `gain * HU + offset_hu`: water and the scale are off by a little.
    """

    noise_hu: float = 4.0
    noise_contrast: float = 1.0
    psf_mm: float = 0.8
    overshoot: float = 0.1
    overshoot_per_mm: float = 0.35
    noise_peak_per_mm: float = 0.25
    blotch: float = 0.0
    denoising: float = 0.0
    slice_blur: float = 0.0
    streaks: float = 0.0
    hardening: float = 0.0
    cupping_hu: float = 0.0
    glare_hu: float = 0.0
    glare_mm: float = 5.0
    windmill_hu: float = 0.0
    metal_hu: float = 0.0
    motion_mm: float = 0.0
    round_field: bool = False
    step_hu: int = 1
    offset_hu: float = 0.0
    gain: float = 1.0

    @classmethod
    def draw(cls, rng: np.random.Generator, population: Population = TRAINING) -> Scanner:
        """Return a scanner of a population."""
        scanner = _wide(rng) if population.scanners is ScannerRange.WIDE else _realistic(rng)
        if population.kernels is KernelFamily.HELD_OUT:
            scanner = replace(scanner, blotch=0.5, denoising=float(rng.uniform(0.6, 0.95)))
        return scanner

    def sharpen(self) -> Scanner:
        """Return this scanner with a bone kernel: sharp, noisy, overshooting."""
        return replace(
            self,
            noise_hu=self.noise_hu * 4,
            psf_mm=0.35,
            noise_peak_per_mm=0.6,
            blotch=0.0,
            denoising=0.0,
            overshoot=0.8,
            overshoot_per_mm=0.5,
        )

    def without_rays(self) -> Scanner:
        """Return this scanner without what runs along rays or follows a rotation: for planes that no ray runs in."""
        return replace(self, streaks=0.0, hardening=0.0, cupping_hu=0.0, windmill_hu=0.0, metal_hu=0.0, motion_mm=0.0)


def _wide(rng: np.random.Generator) -> Scanner:
    """Return a scanner of the range that training draws from, wider than life."""
    between, sometimes = partial(_draw_between, rng), partial(_sometimes, rng)
    psf = between(0.5, 1.2)
    return Scanner(
        noise_hu=float(np.exp(between(np.log(2.0), np.log(10.0)))),
        noise_contrast=between(0.4, 1.3),
        psf_mm=psf,
        overshoot=sometimes(0.7, 0.0, 0.35),
        overshoot_per_mm=between(0.2, 0.5),
        noise_peak_per_mm=NOISE_PEAK_TIMES_PSF / psf * between(0.6, 1.5),
        blotch=sometimes(0.6, 0.1, 1.0),
        slice_blur=sometimes(0.5, 0.0, 0.04),
        streaks=sometimes(0.5, 0.0, 2.5),
        hardening=sometimes(0.8, 0.0, 1.0),
        cupping_hu=sometimes(0.5, -4.0, 6.0),
        glare_hu=sometimes(0.5, 0.0, 25.0),
        glare_mm=between(2.0, 8.0),
        windmill_hu=sometimes(0.3, 0.0, 12.0),
        metal_hu=between(30.0, 200.0),
        motion_mm=sometimes(0.12, 0.5, 5.0),
        round_field=bool(rng.random() < 0.5),
        step_hu=int(rng.choice([1, 1, 1, 1, 1, 1, 1, 1, 2, 4])),
        offset_hu=float(np.clip(rng.normal(0, 3), -6, 6)),
        gain=float(np.clip(rng.normal(1, 0.015), 0.97, 1.03)),
    )


def _realistic(rng: np.random.Generator) -> Scanner:
    """Return a scanner such as clinics have."""
    between, sometimes = partial(_draw_between, rng), partial(_sometimes, rng)
    psf = between(0.6, 1.0)
    return Scanner(
        noise_hu=float(np.clip(np.exp(rng.normal(np.log(3.5), 0.25)), 2.0, 6.0)),
        noise_contrast=between(0.6, 1.1),
        psf_mm=psf,
        overshoot=between(0.0, 0.12),
        overshoot_per_mm=between(0.25, 0.4),
        noise_peak_per_mm=NOISE_PEAK_TIMES_PSF / psf * between(0.8, 1.2),
        blotch=sometimes(0.6, 0.1, 0.6),
        slice_blur=sometimes(0.3, 0.0, 0.02),
        streaks=between(0.3, 1.5),
        hardening=between(0.02, 0.13),
        cupping_hu=float(np.clip(rng.normal(0.5, 1), -2, 3)),
        glare_hu=between(0.0, 5.0),
        glare_mm=between(3.0, 6.0),
        windmill_hu=sometimes(0.3, 0.0, 5.0),
        metal_hu=between(50.0, 150.0),
        motion_mm=sometimes(0.05, 0.5, 3.0),
        round_field=bool(rng.random() < 0.5),
        offset_hu=float(np.clip(rng.normal(-1, 2.3), -5, 5)),
        gain=float(np.clip(rng.normal(1, 0.006), 0.985, 1.015)),
    )


def _draw_between(rng: np.random.Generator, low: float, high: float) -> float:
    """Return a number between two."""
    return float(rng.uniform(low, high))


def _sometimes(rng: np.random.Generator, share: float, low: float, high: float) -> float:
    """Return a number between two in a share of all cases, else 0; it draws the same in each case."""
    value, chance = rng.uniform(low, high), rng.random()
    return float(value) if chance < share else 0.0
