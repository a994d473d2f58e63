# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The settings of one scanner realisation, and how a population's are drawn.

Ranges for training are wider than life, because networks trained on it meet scanners nobody described; the realistic
ones are those of clinical head protocols: noise of 2.5-5 HU at 5 mm (Guimaraes et al., Radiat Prot Dosimetry 2010;
ACR's head phantom criteria), water within 5 HU, point spread of soft-tissue head kernels 0.6-1 mm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from training.simulator.population import TRAINING, Population, ScannerRange


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
    psf_mm: full width at half maximum of the Gaussian point spread, mm.
    noise_peak_per_mm: spatial frequency at which the noise power of the kernel peaks.
    blotch: share of the noise variance that is blotchy, as iterative reconstruction leaves it, 0 to 1.
    overshoot: relative rise of the mid frequencies, which makes edges overshoot.
    streaks: strength of streaks along starved rays; 1 is what counting photons gives.
    hardening: strength of bone's beam hardening: cupping, the band along the skull, bars between petrous bones.
    offset_hu, gain: HU become `gain * HU + offset_hu`: water and the scale are off by a little.
    """

    noise_hu: float = 4.0
    psf_mm: float = 0.8
    noise_peak_per_mm: float = 0.25
    blotch: float = 0.0
    overshoot: float = 0.1
    streaks: float = 0.0
    hardening: float = 0.0
    offset_hu: float = 0.0
    gain: float = 1.0

    @classmethod
    def drawn(cls, rng: np.random.Generator, population: Population = TRAINING) -> Scanner:
        """Return a scanner of a population."""
        noisiest = 10.0 if population.scanners is ScannerRange.WIDE else 6.0
        return cls(
            noise_hu=float(np.exp(rng.uniform(np.log(2.0), np.log(noisiest)))),
            psf_mm=float(rng.uniform(0.5, 1.2)),
            noise_peak_per_mm=float(rng.uniform(0.12, 0.4)),
            overshoot=float(rng.uniform(0.0, 0.3)),
            streaks=float(rng.uniform(0, 2)) if rng.random() < 0.7 else 0.0,
            hardening=float(rng.uniform(0, 1)),
            offset_hu=float(np.clip(rng.normal(0, 2.5), -6, 6)),
            gain=float(np.clip(rng.normal(1, 0.012), 0.97, 1.03)),
        )

    def sharpened(self) -> Scanner:
        """Return this scanner with a bone kernel: sharp, noisy, overshooting."""
        return replace(self, noise_hu=self.noise_hu * 4, psf_mm=0.35, noise_peak_per_mm=0.6, blotch=0.0, overshoot=0.8)
