# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What a scanner passes of an object and what colour its noise has, by spatial frequency.

Noise in the projections is white; filtered back projection gives it a ramp and its kernel: power f * K(f)^2
(Riederer, Pelc & Chesler, Phys Med Biol 1978; Boedeker, Cooper & McNitt-Gray, Phys Med Biol 2007). Kernels differ in
where K falls and whether it rises before (edge enhancement). Iterative reconstruction takes the high frequencies and
leaves blotches at 0.05-0.15 / mm (Solomon & Samei, Med Phys 2014; Samei & Richard, Med Phys 2015).
"""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from simulator.scanner.settings import Scanner

Field = NDArray[np.float32]

FWHM_PER_SIGMA = 2.355
ALIASED = 0.05  # sampling leaves some power at frequency zero (Kijewski & Judy, Phys Med Biol 1987)
BLOTCH_PER_MM = 0.12  # above this frequency iterative reconstruction takes noise away


def frequencies(shape: tuple[int, int], spacing_mm: tuple[float, float]) -> Field:
    """Return the radial spatial frequency (1/mm) of each coefficient of a real 2-D transform."""
    fy = scipy.fft.fftfreq(shape[0], spacing_mm[0])
    fx = scipy.fft.rfftfreq(shape[1], spacing_mm[1])
    return np.asarray(np.hypot(fy[:, None], fx[None, :]), np.float32)


def modulation_transfer(frequency: Field, scanner: Scanner) -> Field:
    """Return how much of each frequency (1/mm) the scanner passes: a Gaussian point spread and its overshoot."""
    sigma = scanner.psf_mm / FWHM_PER_SIGMA
    relative = (frequency / scanner.overshoot_per_mm) ** 2
    blur = np.exp(-2 * (np.pi * sigma * frequency) ** 2)
    return np.asarray(blur * (1 + scanner.overshoot * relative * np.exp(1 - relative)), np.float32)


def noise_amplitude(frequency: Field, size: tuple[int, int], scanner: Scanner) -> Field:
    """Return the factor for each coefficient of white noise that gives noise of unit variance and the kernel's colour.

    A share `scanner.blotch` of the variance is the blotchy noise of iterative reconstruction.
    """
    relative = frequency / scanner.noise_peak_per_mm
    filtered = (ALIASED + relative) * np.exp(-0.5 * relative**2)
    low = frequency / BLOTCH_PER_MM
    blotchy = (0.15 + low) / (1 + low**2) ** 2
    power = (1 - scanner.blotch) * _unit(filtered, size) + scanner.blotch * _unit(blotchy, size)
    return np.asarray(np.sqrt(power), np.float32)


def _unit(power: NDArray[np.floating], size: tuple[int, int]) -> NDArray[np.floating]:
    """Return a noise power over half a plane of coefficients, scaled so that white noise of it has unit variance."""
    # A real transform keeps half the plane: columns between the first and the Nyquist one stand for two.
    twice = np.full(power.shape[1], 2.0)
    twice[0] = 1
    if size[1] % 2 == 0:
        twice[-1] = 1
    return np.asarray(power / ((power * twice).sum() / (size[0] * size[1])))
