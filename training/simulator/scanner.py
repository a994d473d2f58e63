# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What the scanner adds to a noise-free scan: point spread, kernel-shaped noise, HU shift, cupping.

Image-domain physics: the modulation transfer and the noise power spectrum multiply in Fourier space (one transform
forth and one back a slice), the noise is stronger where rays cross more bone. Ranges are wider than life, because
networks trained on it meet scanners nobody described: noise of 2-10 HU at 5 mm, point spread 0.5-1.2 mm (Gaussian
sigma equivalents of soft to sharp kernels), offset +-6 HU, gain +-3 % (Boedeker & McNitt-Gray, Phys Med Biol 2007,
for noise power; Solomon & Samei, Med Phys 2014, for iterative reconstruction's blotchy noise).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy import ndimage

Field = NDArray[np.float32]

HU_MIN, HU_MAX = -1024, 3071


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
    psf_mm: Gaussian standard deviation of the point spread times 2, about its full width at half maximum in mm.
    noise_peak_per_mm: spatial frequency at which the noise power peaks; low is blotchy.
    overshoot: relative rise of the mid frequencies, which makes edges overshoot.
    offset_hu, gain: HU become `gain * HU + offset_hu`: water and the scale are off by a little.
    cupping_hu: HU missing in the middle of the head.
    """

    noise_hu: float = 4.0
    psf_mm: float = 0.8
    noise_peak_per_mm: float = 0.25
    overshoot: float = 0.1
    offset_hu: float = 0.0
    gain: float = 1.0
    cupping_hu: float = 0.0

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Scanner:
        """Return a scanner from the wide training range."""
        return cls(
            noise_hu=float(np.exp(rng.uniform(np.log(2.0), np.log(9.0)))),
            psf_mm=float(rng.uniform(0.5, 1.2)),
            noise_peak_per_mm=float(rng.uniform(0.12, 0.4)),
            overshoot=float(rng.uniform(0.0, 0.3)),
            offset_hu=float(np.clip(rng.normal(0, 2.5), -6, 6)),
            gain=float(np.clip(rng.normal(1, 0.012), 0.97, 1.03)),
            cupping_hu=float(rng.normal(0, 1.0)),
        )

    def sharpened(self) -> Scanner:
        """Return this scanner with a bone kernel: sharp, noisy, overshooting."""
        return Scanner(
            noise_hu=self.noise_hu * 4,
            psf_mm=0.35,
            noise_peak_per_mm=0.6,
            overshoot=0.8,
            offset_hu=self.offset_hu,
            gain=self.gain,
            cupping_hu=self.cupping_hu,
        )


def _frequencies(shape: tuple[int, int], spacing_mm: tuple[float, float]) -> Field:
    """Return the radial spatial frequency (1/mm) of each coefficient of a real 2-D transform."""
    fy = scipy.fft.fftfreq(shape[0], spacing_mm[0])
    fx = scipy.fft.rfftfreq(shape[1], spacing_mm[1])
    return np.hypot(fy[:, None], fx[None, :]).astype(np.float32)


def noise_weight(hu: NDArray[np.integer] | Field) -> Field:
    """Return the relative noise [Z, Y, X] / 8 in-plane of a scan: 1 in the middle of a mid-brain slice, less outside.

    Rays through the middle cross the most tissue, rays through the skull base the most bone: the width of the head
    and its bone along rows and columns give an effective path (1 cm of bone counts as about 2 cm of water).
    """
    coarse = np.asarray(hu[:, ::8, ::8], np.float32)
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
    size = scipy.fft.next_fast_len(rows, real=True), scipy.fft.next_fast_len(columns, real=True)
    frequency = _frequencies(size, spacing_mm)
    sigma = scanner.psf_mm / 2.355
    transfer = np.exp(-2 * (np.pi * sigma * frequency) ** 2)
    transfer *= 1 + scanner.overshoot * (frequency / 0.35) ** 2 * np.exp(1 - (frequency / 0.35) ** 2)
    peak = scanner.noise_peak_per_mm
    amplitude = np.sqrt(frequency / peak) * np.exp(-0.5 * (frequency / peak - 0) ** 2 / 2)
    # The zeroth column and the last count once, the others twice in a real transform.
    power = 2 * (amplitude**2).sum() - (amplitude[:, 0] ** 2).sum() - (amplitude[:, -1] ** 2).sum() * (size[1] % 2 == 0)
    amplitude *= np.float32(np.sqrt(size[0] * size[1] / power))
    weight = noise_weight(hu)
    out = np.empty(hu.shape, np.int16)
    gain = np.float32(scanner.gain)
    for k in range(planes):
        plane = np.zeros(size, np.float32)
        plane[:rows, :columns] = hu[k]
        plane[:rows, :columns] += 1000
        image = scipy.fft.irfft2(scipy.fft.rfft2(plane) * transfer, s=size)[:rows, :columns]
        white = rng.standard_normal(size, np.float32)
        noise = scipy.fft.irfft2(scipy.fft.rfft2(white) * amplitude, s=size)[:rows, :columns]
        scale = scanner.noise_hu * np.sqrt(5.0 / float(thickness_mm[k]))
        local = np.repeat(np.repeat(weight[k], 8, 0), 8, 1)[:rows, :columns] * np.float32(scale)
        image = gain * (image - 1000) + noise * local + np.float32(scanner.offset_hu)
        np.clip(np.rint(image), HU_MIN, HU_MAX, out=image)
        out[k] = image
    return out
