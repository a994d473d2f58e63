# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What the scanner adds to a noise-free scan: point spread, noise of the kernel's colour, streaks, hardening, HU shift.

Image-domain physics: the modulation transfer (`transfer.py`) multiplies in Fourier space, noise is coloured there and
is stronger where rays cross more (`rays.py`, `streaks.py`). A crop is scanned at the cost of the crop: what depends on
whole paths through the head comes from `Rays`, which are known once for every head.
"""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from training.simulator.fields import Taps, spread, stream
from training.simulator.scanner.rays import CELL_PX, Rays
from training.simulator.scanner.settings import Kernel, Scanner
from training.simulator.scanner.streaks import starved_streaks
from training.simulator.scanner.transfer import frequencies, modulation_transfer, noise_amplitude
from training.simulator.view import View, cut

__all__ = ["HU_MAX", "HU_MIN", "Kernel", "Rays", "Scanner", "scanned"]

Field = NDArray[np.float32]

HU_MIN, HU_MAX = -1024, 3071
NOISE_THICKNESS_MM = 5.0  # noise is stated at this thickness
BORDER_PX = 8  # repeated around a plane, so that crops keep their edges


def scanned(
    hu: NDArray[np.integer] | Field,
    spacing_mm: tuple[float, float],
    thickness_mm: NDArray[np.floating],
    scanner: Scanner,
    rng: np.random.Generator,
    *,
    rays: Rays | None = None,
    view: View | None = None,
    matrix: tuple[int, int] | None = None,
) -> NDArray[np.int16]:
    """Return what the scanner stores of a noise-free scan, or of a view of one.

    Parameters
    ----------
    hu: noise-free HU [Z, Y, X].
    spacing_mm: distance of rows and of columns.
    thickness_mm: [Z]; noise falls with its square root.
    rng: draws the noise, each slice's from a stream of its own.
    rays: what rays cross in the slices that `hu` is a view of; found out from `hu` where it is the whole scan.
    view: the view that `hu` is; the whole slice by default.
    matrix: rows and columns of the whole slice, where `hu` is a view of it.

    Returns
    -------
    int16 [Z, Y, X], HU.
    """
    planes, rows, columns = hu.shape
    matrix = matrix or (rows, columns)
    view = view or View.whole(matrix)
    rays = Rays.through(hu, spacing_mm) if rays is None else rays
    size = (
        scipy.fft.next_fast_len(rows + 2 * BORDER_PX, real=True),
        scipy.fft.next_fast_len(columns + 2 * BORDER_PX, real=True),
    )
    here = (slice(BORDER_PX, BORDER_PX + rows), slice(BORDER_PX, BORDER_PX + columns))
    beyond = [(BORDER_PX, s - n - BORDER_PX) for s, n in zip(size, (rows, columns), strict=True)]
    frequency = frequencies(size, spacing_mm)
    transfer = modulation_transfer(frequency, scanner)
    amplitude = noise_amplitude(frequency, size, scanner)
    middle = ((matrix[0] - 1) / 2, (matrix[1] - 1) / 2)
    weight = _seen(rays.noise, view, (rows, columns))
    shade = _seen(rays.hardening * np.float32(scanner.hardening), view, (rows, columns))
    taps = (_between_cells(rows, weight.shape[1]), _between_cells(columns, weight.shape[2]))
    base = int(rng.integers(2**62))
    out = np.empty(hu.shape, np.int16)
    gain, offset = np.float32(scanner.gain), np.float32(scanner.offset_hu)
    for k in range(planes):
        plane = np.pad(np.asarray(hu[k], np.float32), beyond, mode="edge")
        image = scipy.fft.irfft2(scipy.fft.rfft2(plane) * transfer, s=size)[here]
        white = stream(base, f"noise {k}").standard_normal(size, np.float32)
        noise = scipy.fft.irfft2(scipy.fft.rfft2(white) * amplitude, s=size)[here]
        strength = np.float32(scanner.noise_hu * np.sqrt(NOISE_THICKNESS_MM / float(thickness_mm[k])))
        image = gain * image + noise * spread(weight[k] * strength, taps)
        if scanner.hardening:
            image += spread(shade[k], taps)
        if scanner.streaks:
            streaks = starved_streaks(stream(base, f"streaks {k}"), rays.starved[k], view, (rows, columns), middle)
            if streaks is not None:
                image += streaks * (strength * np.float32(scanner.streaks))
        out[k] = np.clip(np.rint(image + offset), HU_MIN, HU_MAX)
    return out


def _seen(cells: Field, view: View, size: tuple[int, int]) -> Field:
    """Return a map on the slice's cells [Z, y, x] on the cells of a view of `size` pixels."""
    count = (-(-size[0] // CELL_PX), -(-size[1] // CELL_PX))
    turn = view.steps
    # The view's cells are measured from the view's first pixel, the slice's from the slice's.
    half = np.array([(CELL_PX - 1) / 2] * 2)
    corner = view.corner(size) + (turn * half).sum(1)
    last = (np.asarray(count) - 1) / 2
    centre = (corner - half) / CELL_PX + (turn * last).sum(1)
    coarse = View((float(centre[0]), float(centre[1])), view.angle, view.scale, view.mirrored)
    padded = np.pad(cells, [(0, 0), (1, 1), (1, 1)], mode="edge")
    return cut(padded, coarse, count, corner=(-1, -1), around=0.0)


def _between_cells(size: int, cells: int) -> Taps:
    """Return what interpolates from the centres of cells of `CELL_PX` pixels to `size` pixels."""
    return Taps.linear(np.clip((np.arange(size) + 0.5) / CELL_PX - 0.5, 0, cells - 1), cells)
