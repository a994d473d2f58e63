# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What the scanner adds to a noise-free scan: point spread, noise of the kernel's colour, streaks, hardening, HU shift.

Image-domain physics, in the order of `acquire`: the slice profile and the head's motion act on the noise-free plane,
the modulation transfer (`transfer.py`) multiplies in Fourier space, noise is coloured there and is stronger where rays
cross more (`rays.py`), then come streaks, metal and shading, and what a file can keep of it. A crop is scanned at the
cost of the crop: what depends on whole paths through the head comes from `Rays`, which are known once for every head.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from simulator.fields import Taps, spread, stream
from simulator.scanner.denoising import smooth
from simulator.scanner.metal import stars
from simulator.scanner.motion import Motion
from simulator.scanner.rays import CELL_PX, Rays
from simulator.scanner.settings import Kernel, Scanner
from simulator.scanner.shading import shading
from simulator.scanner.streaks import starved_streaks, where_starved_rays_cross
from simulator.scanner.transfer import frequencies, modulation_transfer, noise_amplitude
from simulator.view import View, cut

__all__ = ["HU_MAX", "HU_MIN", "Kernel", "Rays", "Scanner", "acquire"]

Field = NDArray[np.float32]

HU_MIN, HU_MAX = -1024, 3071
NOISE_THICKNESS_MM = 5.0  # noise is stated at this thickness
BORDER_PX = 8  # repeated around a plane, so that crops keep their edges


def acquire(
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
    lens = _Lens.of((rows, columns), spacing_mm, scanner)
    middle = ((matrix[0] - 1) / 2, (matrix[1] - 1) / 2)
    base = int(rng.integers(2**62))
    weight = _cut_cells(rays.noise ** np.float32(scanner.noise_contrast), view, (rows, columns))
    crossed = _cut_cells(where_starved_rays_cross(rays.noise), view, (rows, columns))
    shade = shading(rays, spacing_mm[0] / view.scale, scanner, stream(base, "shading"))
    shade = _cut_cells(shade, view, (rows, columns)) + np.float32(scanner.offset_hu)
    taps = (_between_cells(rows, weight.shape[1]), _between_cells(columns, weight.shape[2]))
    outside = _outside(view, (rows, columns), matrix) if scanner.round_field else None
    out = np.empty(hu.shape, np.int16)
    for k in range(planes):
        drawn = stream(base, f"slice {k}")
        strength = np.float32(scanner.noise_hu * np.sqrt(NOISE_THICKNESS_MM / float(thickness_mm[k])))
        spread_noise = spread(weight[k] * strength, taps)
        plane = _blur_profile(hu, k, scanner.slice_blur)
        noise = lens.noise(drawn)
        noise *= spread_noise
        motion = Motion.draw(drawn, scanner.motion_mm) if scanner.motion_mm else None
        if motion is not None:
            plane = motion.blend(plane, spacing_mm[0])
            noise += motion.draw_streaks(view, (rows, columns), middle, rays.body[k])
        if scanner.streaks:
            streaks = starved_streaks(drawn, rays.starved[k], view, (rows, columns), middle)
            if streaks is not None:
                streaks *= strength * np.float32(scanner.streaks) * spread(crossed[k], taps)
                noise += streaks
        star = stars(drawn, rays.metal[rays.metal[:, 0] == k, 1:], view, (rows, columns)) if len(rays.metal) else None
        if star is not None:
            noise += star * np.float32(scanner.metal_hu)
        image = lens.transmit(plane)
        image *= np.float32(scanner.gain)
        image += noise
        image += spread(shade[k], taps)
        if scanner.denoising:
            image = smooth(image, spread_noise, spacing_mm[0], scanner.denoising)
        if outside is not None:
            image[outside] = HU_MIN
        out[k] = _quantize(image, scanner.step_hu)
    return out


@dataclass(frozen=True)
class _Lens:
    """What a scanner's kernel does to planes of one size: the factors of their Fourier coefficients."""

    shape: tuple[int, int]
    size: tuple[int, int]
    transfer: Field
    amplitude: Field

    @classmethod
    def of(cls, shape: tuple[int, int], spacing_mm: tuple[float, float], scanner: Scanner) -> _Lens:
        """Return the lens of a scanner for planes [Y, X] of a shape."""
        rows, columns = (scipy.fft.next_fast_len(n + 2 * BORDER_PX, real=True) for n in shape)
        frequency = frequencies((rows, columns), spacing_mm)
        transfer = modulation_transfer(frequency, scanner)
        return cls(shape, (rows, columns), transfer, noise_amplitude(frequency, (rows, columns), scanner))

    @property
    def _here(self) -> tuple[slice, slice]:
        """Where the plane lies within its border."""
        return slice(BORDER_PX, BORDER_PX + self.shape[0]), slice(BORDER_PX, BORDER_PX + self.shape[1])

    def transmit(self, plane: Field) -> Field:
        """Return what of a plane [Y, X] passes."""
        beyond = [(BORDER_PX, s - n - BORDER_PX) for s, n in zip(self.size, self.shape, strict=True)]
        waves = scipy.fft.rfft2(np.pad(plane, beyond, mode="edge"))
        waves *= self.transfer
        return np.asarray(scipy.fft.irfft2(waves, s=self.size, overwrite_x=True)[self._here], np.float32)

    def noise(self, rng: np.random.Generator) -> Field:
        """Return noise [Y, X] of unit variance and the kernel's colour."""
        waves = scipy.fft.rfft2(rng.standard_normal(self.size, np.float32), overwrite_x=True)
        waves *= self.amplitude
        return np.asarray(scipy.fft.irfft2(waves, s=self.size, overwrite_x=True)[self._here], np.float32)


def _blur_profile(hu: NDArray[np.integer] | Field, k: int, blur: float) -> Field:
    """Return plane k [Y, X] with a share `blur` of each neighbour in it."""
    plane = np.asarray(hu[k], np.float32)
    if not blur:
        return plane
    beside = np.asarray(hu[max(0, k - 1)], np.float32) + hu[min(len(hu) - 1, k + 1)]
    return np.asarray(plane * np.float32(1 - 2 * blur) + beside * np.float32(blur), np.float32)


def _outside(view: View, size: tuple[int, int], matrix: tuple[int, int]) -> NDArray[np.bool_]:
    """Return where a view [*size] shows what lies outside the circle of the field of view."""
    corner, steps = view.corner(size), view.steps
    y, x = (
        corner[axis]
        - (matrix[axis] - 1) / 2
        + steps[axis, 0] * np.arange(size[0])[:, None]
        + steps[axis, 1] * np.arange(size[1])
        for axis in (0, 1)
    )
    return np.asarray(y * y + x * x > (max(matrix) / 2) ** 2)


def _quantize(image: Field, step_hu: int) -> NDArray[np.int16]:
    """Return HU as a file keeps them: whole steps within twelve bits."""
    whole = np.rint(image if step_hu == 1 else image * np.float32(1 / step_hu))
    return (np.clip(whole * np.float32(step_hu), HU_MIN, HU_MAX)).astype(np.int16)


def _cut_cells(cells: Field, view: View, size: tuple[int, int]) -> Field:
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
