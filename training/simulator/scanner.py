# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What the scanner adds to a noise-free scan: point spread, kernel-shaped noise, HU shift.

Image-domain physics: the modulation transfer and the noise power spectrum multiply in Fourier space (one transform
forth and one back a slice), the noise is stronger where rays cross more bone. Ranges are wider than life, because
networks trained on it meet scanners nobody described: noise of 2-10 HU at 5 mm, point spread 0.5-1.2 mm (full
width at half maximum, sharp to soft kernels), offset +-6 HU, gain +-3 % (Boedeker & McNitt-Gray, Phys Med Biol 2007,
for noise power; Solomon & Samei, Med Phys 2014, for iterative reconstruction's blotchy noise).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy import ndimage

from training.simulator.fields import Taps, spread
from training.simulator.population import TRAINING, Population, ScannerRange

Field = NDArray[np.float32]

HU_MIN, HU_MAX = -1024, 3071
NOISE_THICKNESS_MM = 5.0  # noise is stated at this thickness
FWHM_PER_SIGMA = 2.355
OVERSHOOT_PER_MM = 0.35  # where an edge-enhancing kernel lifts most
CELL_PX = 8  # the strength of noise is known for squares of this size
STREAK_FROM = 1.15  # streaks begin where noise is this much stronger than in mid-brain
STREAK_MM = 4.0  # their distance
BORDER_PX = 8  # repeated around a plane, so that crops keep their edges


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
    noise_peak_per_mm: spatial frequency at which the noise power peaks; low is blotchy.
    overshoot: relative rise of the mid frequencies, which makes edges overshoot.
    streak_hu: strength of streaks where rays cross thick bone, HU for each unit of relative noise above mid-brain's.
    offset_hu, gain: HU become `gain * HU + offset_hu`: water and the scale are off by a little.
    """

    noise_hu: float = 4.0
    psf_mm: float = 0.8
    noise_peak_per_mm: float = 0.25
    overshoot: float = 0.1
    streak_hu: float = 0.0
    offset_hu: float = 0.0
    gain: float = 1.0

    @classmethod
    def drawn(cls, rng: np.random.Generator, population: Population = TRAINING) -> Scanner:
        """Return a scanner of a population."""
        noisiest = 9.0 if population.scanners is ScannerRange.WIDE else 6.0
        return cls(
            noise_hu=float(np.exp(rng.uniform(np.log(2.0), np.log(noisiest)))),
            psf_mm=float(rng.uniform(0.5, 1.2)),
            noise_peak_per_mm=float(rng.uniform(0.12, 0.4)),
            overshoot=float(rng.uniform(0.0, 0.3)),
            streak_hu=float(rng.uniform(0, 60)) if rng.random() < 0.7 else 0.0,
            offset_hu=float(np.clip(rng.normal(0, 2.5), -6, 6)),
            gain=float(np.clip(rng.normal(1, 0.012), 0.97, 1.03)),
        )

    def sharpened(self) -> Scanner:
        """Return this scanner with a bone kernel: sharp, noisy, overshooting."""
        return Scanner(
            noise_hu=self.noise_hu * 4,
            psf_mm=0.35,
            noise_peak_per_mm=0.6,
            overshoot=0.8,
            streak_hu=self.streak_hu,
            offset_hu=self.offset_hu,
            gain=self.gain,
        )


def _frequencies(shape: tuple[int, int], spacing_mm: tuple[float, float]) -> Field:
    """Return the radial spatial frequency (1/mm) of each coefficient of a real 2-D transform."""
    fy = scipy.fft.fftfreq(shape[0], spacing_mm[0])
    fx = scipy.fft.rfftfreq(shape[1], spacing_mm[1])
    return np.asarray(np.hypot(fy[:, None], fx[None, :]), np.float32)


def noise_weight(hu: NDArray[np.integer] | Field) -> Field:
    """Return the relative noise of the cells of `CELL_PX` pixels of a scan, [Z, y, x], 1 in the middle of mid-brain.

    Rays through the middle cross the most tissue, rays through the skull base the most bone: the width of the head
    and its bone along rows and columns give an effective path (1 cm of bone counts as about 2 cm of water).
    """
    coarse = np.asarray(hu[:, CELL_PX // 2 :: CELL_PX, CELL_PX // 2 :: CELL_PX], np.float32)
    attenuation = np.clip(coarse / 1000 + 1, 0, 2.2)
    attenuation = attenuation + 1.0 * np.clip(coarse / 1000 - 0.1, 0, 1.5)
    path = attenuation.sum(2, keepdims=True) + attenuation.sum(1, keepdims=True)
    path = ndimage.gaussian_filter(path, (0.4, 2, 2))
    here = ndimage.gaussian_filter(np.minimum(attenuation, 1.2), (0, 3, 3))
    middle = np.percentile(path, 85, axis=(1, 2)).mean() if path.size else 1.0
    weight = 0.35 + 0.65 * np.exp(1.1 * (path / max(float(middle), 1e-3) - 1)) * (0.4 + 0.6 * here)
    return np.asarray(np.clip(weight, 0.3, 2.2), np.float32)


def scanned(
    hu: NDArray[np.integer] | Field,
    spacing_mm: tuple[float, float],
    thickness_mm: NDArray[np.floating],
    scanner: Scanner,
    rng: np.random.Generator,
) -> NDArray[np.int16]:
    """Return what the scanner stores of a noise-free scan.

    Parameters
    ----------
    hu: noise-free HU [Z, Y, X]; a crop works as well as a whole scan.
    spacing_mm: distance of rows and of columns.
    thickness_mm: [Z]; noise falls with its square root.
    rng: draws the noise; slices are drawn in order.

    Returns
    -------
    int16 [Z, Y, X], HU.
    """
    planes, rows, columns = hu.shape
    size = (
        scipy.fft.next_fast_len(rows + 2 * BORDER_PX, real=True),
        scipy.fft.next_fast_len(columns + 2 * BORDER_PX, real=True),
    )
    here = (slice(BORDER_PX, BORDER_PX + rows), slice(BORDER_PX, BORDER_PX + columns))
    beyond = [(BORDER_PX, s - n - BORDER_PX) for s, n in zip(size, (rows, columns), strict=True)]
    frequency = _frequencies(size, spacing_mm)
    transfer = modulation_transfer(frequency, scanner)
    amplitude = noise_amplitude(frequency, size, scanner)
    weight = noise_weight(hu)
    taps = (_between_cells(rows, weight.shape[1]), _between_cells(columns, weight.shape[2]))
    out = np.empty(hu.shape, np.int16)
    gain, offset = np.float32(scanner.gain), np.float32(scanner.offset_hu)
    for k in range(planes):
        plane = np.pad(np.asarray(hu[k], np.float32), beyond, mode="edge")
        image = scipy.fft.irfft2(scipy.fft.rfft2(plane) * transfer, s=size)[here]
        white = rng.standard_normal(size, np.float32)
        noise = scipy.fft.irfft2(scipy.fft.rfft2(white) * amplitude, s=size)[here]
        strength = np.float32(scanner.noise_hu * np.sqrt(NOISE_THICKNESS_MM / float(thickness_mm[k])))
        noise = noise * spread(weight[k] * strength, taps)
        if scanner.streak_hu:
            hard = np.clip(weight[k] - STREAK_FROM, 0, 1) * np.float32(scanner.streak_hu)
            noise += _streaks(rng, rows, columns, spacing_mm[0]) * spread(hard, taps)
        image = gain * image + noise + offset
        out[k] = np.clip(np.rint(image), HU_MIN, HU_MAX)
    return out


def _streaks(rng: np.random.Generator, rows: int, columns: int, row_mm: float) -> Field:
    """Return streaks [rows, columns] of about unit strength that run across the head, as between the petrous bones."""
    count = int(rows * row_mm / STREAK_MM) + 3
    left, right = (rng.standard_normal(count).astype(np.float32) for _ in range(2))
    at = np.arange(rows) * (row_mm / STREAK_MM)
    low = at.astype(int)
    part = (at - low).astype(np.float32)
    edges = [side[low] * (1 - part) + side[low + 1] * part for side in (left, 0.5 * left + 0.87 * right)]
    across = np.linspace(0, 1, columns, dtype=np.float32)
    return np.asarray(np.outer(edges[0], 1 - across) + np.outer(edges[1], across), np.float32)


def modulation_transfer(frequency: Field, scanner: Scanner) -> Field:
    """Return how much of each frequency (1/mm) the scanner passes: a Gaussian point spread and its overshoot."""
    sigma = scanner.psf_mm / FWHM_PER_SIGMA
    relative = (frequency / OVERSHOOT_PER_MM) ** 2
    blur = np.exp(-2 * (np.pi * sigma * frequency) ** 2)
    return np.asarray(blur * (1 + scanner.overshoot * relative * np.exp(1 - relative)), np.float32)


def noise_amplitude(frequency: Field, size: tuple[int, int], scanner: Scanner) -> Field:
    """Return the factor for each coefficient of white noise that gives noise of unit variance and the kernel's colour.

    Filtered back projection's power rises with the frequency (the ramp) and falls with the kernel.
    """
    relative = frequency / scanner.noise_peak_per_mm
    amplitude = np.sqrt(relative) * np.exp(-0.25 * relative**2)
    # A real transform keeps half the plane: columns between the first and the Nyquist one stand for two.
    twice = np.full(amplitude.shape[1], 2.0)
    twice[0] = 1
    if size[1] % 2 == 0:
        twice[-1] = 1
    mean_power = float((amplitude**2 * twice).sum()) / (size[0] * size[1])
    return np.asarray(amplitude / np.sqrt(mean_power), np.float32)


def _between_cells(size: int, cells: int) -> Taps:
    """Return what interpolates from the centres of cells of `CELL_PX` pixels to `size` pixels."""
    return Taps.linear(np.clip((np.arange(size) + 0.5) / CELL_PX - 0.5, 0, cells - 1), cells)
