# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Edge-preserving smoothing, the kernel family that training never draws.

Strong iterative and learned reconstructions flatten what looks like noise and keep what looks like an edge, so that
noise survives in patches and along edges. A guided filter with the picture as its own guide does so (He, Sun & Tang,
IEEE Trans Pattern Anal Mach Intell 2013).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Field = NDArray[np.float32]

WINDOW_MM = 3.0
RESIDUAL = 0.25  # of the noise stays everywhere


def smooth(image: Field, noise_hu: Field, pixel_mm: float, strength: float) -> Field:
    """Return a picture [Y, X] smoothed where it varies no more than its noise (standard deviation [Y, X], HU)."""
    window = 2 * round(WINDOW_MM / pixel_mm / 2) + 1
    mean = ndimage.uniform_filter(image, window)
    variance = np.maximum(ndimage.uniform_filter(image * image, window) - mean * mean, 0)
    kept = variance / (variance + 2 * noise_hu * noise_hu)
    kept = np.clip((kept - 0.33) * 1.5, 0, 1)  # flat and noisy: a third is left of it by the formula alone
    kept = ndimage.uniform_filter(kept, window)
    kept = np.float32(1) - np.float32(strength * (1 - RESIDUAL)) * (1 - kept)
    return np.asarray(mean + kept * (image - mean), np.float32)
