# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The slice of a study that was misread, as it is kept for the gallery: plain, and with truth and finding drawn.

Simulated slices alone. The window is the reader's: 0 to 80 HU.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

WINDOW_HU: Final = (0.0, 80.0)
TRUE_COLOUR: Final = (60, 220, 90)
FOUND_COLOUR: Final = (255, 60, 160)


def draw(
    path: Path,
    plane: NDArray[np.int16],
    truth: NDArray[np.bool_],
    found: NDArray[np.bool_],
    pixel_spacing_mm: tuple[float, float],
) -> None:
    """Write a slice [Y, X], HU, as PNG: plain, and beside it with outlines of truth (green) and finding (pink).

    Pixels that are not square are drawn square.
    """
    low, high = WINDOW_HU
    gray = np.clip((plane.astype(np.float32) - low) / (high - low) * 255, 0, 255).astype(np.uint8)
    plain = np.repeat(gray[..., None], 3, axis=2)
    marked = plain.copy()
    for mask, colour in ((truth, TRUE_COLOUR), (found, FOUND_COLOUR)):
        marked[ndimage.binary_dilation(mask, iterations=2) & ~ndimage.binary_dilation(mask)] = colour
    both = Image.fromarray(np.concatenate([plain, marked], axis=1))
    width = both.width
    height = round(both.height * pixel_spacing_mm[0] / pixel_spacing_mm[1])
    both.resize((width, height)).resize((width // 2 * 3 // 2, height // 2 * 3 // 2)).save(path, optimize=True)
