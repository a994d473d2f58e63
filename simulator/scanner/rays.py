# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What the rays of a scanner cross on their way through a head, once for every head, on a coarse grid.

Where noise is strong, where rays starve and where beams harden depends on whole paths through the head, so a crop of a
slice does not know it. This is computed once from the whole noise-free scan, on cells of `CELL_PX` pixels with parallel
rays at `ANGLES` angles, and kept beside it; a realisation of any crop then costs no more than the crop.

Noise: the variance that a ray brings is the inverse of the photons that arrive, exp(attenuation); filtered back
projection gives a pixel the mean over all angles (Kak & Slaney, Principles of Computerized Tomographic Imaging, 1988,
section 5.2; Hsieh, Computed Tomography, 2003, chapter 7). A bow-tie filter evens out the rim. Where the rays of one
angle bring much more than the mean they show as streaks: between the petrous bones, and little above them.

Hardening: water is corrected for, bone is not, so a ray that crosses B cm of it comes out short by about B^2; back
projection of that error makes the dark bars between dense bones, and what is left of cupping (Brooks & Di Chiro, Phys
Med Biol 1976; Joseph & Spital, J Comput Assist Tomogr 1978), and more than that where bone fills a detector partly
(Glover & Pelc, Med Phys 1980). It also lifts whole slices that are mostly bone, at the base and towards the vertex (the
apical artefact of the first scanners: Di Chiro et al., J Comput Assist Tomogr 1978); what a head's calibration does not
take out of that is a few HU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy import ndimage

Field = NDArray[np.float32]

CELL_PX = 8
ANGLES = 48
STREAK_ANGLES = 24  # streaks are drawn along these
WATER_PER_CM = 0.2  # linear attenuation at about 65 keV (NIST)
BONE_FROM_HU = 150.0
METAL_HU = 3000
STARVED_FROM = 2.0  # times the mean variance of all angles: above it a ray's noise stands out as a streak
BOW_TIE_CM = 8.0  # the radius of the water that a head's bow-tie filter is made for
BOW_TIE = 0.4  # how much of the missing path it adds
TUBE_FOLLOWS = 0.7  # how much of the difference between angles the tube current evens out
HARDEST_HU = 60.0
STEEPER_CM = 4.0
LIFT_LEFT = 0.2  # of what hardening lifts a whole slice by
HARDENING_PER_CM2 = 0.004  # shortfall of a ray for each squared cm of bone of +1000 HU


@dataclass(frozen=True)
class Rays:
    """What rays cross in each slice of a scan.

    Attributes
    ----------
    noise: relative noise of each cell, [Z, y, x], 1 in the middle of the middle slices.
    hardening: HU that bone's beam hardening adds to each cell, [Z, y, x], at ordinary strength.
    bone: how much bone each cell holds, [Z, y, x], 1 is a cell of +1000 HU.
    starved: streaks of each angle and distance from the slice's centre (in cells), [Z, A, S], relative as noise is.
    body: middle (y, x, in pixels) and half height and width of the head in each slice, [Z, 4].
    metal: [N, 4] plane, y, x (in pixels) and area (in pixels) of each piece of metal.
    """

    noise: Field
    hardening: Field
    bone: Field
    starved: Field
    body: Field
    metal: Field

    @classmethod
    def through(cls, hu: NDArray[np.integer] | Field, spacing_mm: tuple[float, float]) -> Rays:
        """Return what rays cross in a noise-free scan, HU [Z, Y, X]."""
        water = _cells(np.clip(hu, -1000, 3000) * np.float32(0.001) + 1, 0.0)
        bone = _cells(np.clip(np.asarray(hu, np.float32) - BONE_FROM_HU, 0, 2500) * np.float32(0.001), 0.0)
        paths = _project(np.stack([water, bone], axis=1), ANGLES) * np.float32(CELL_PX * spacing_mm[0] / 10)
        body = _bodies(water)
        variance = _variance(paths[:, 0], CELL_PX * spacing_mm[0] / 10)
        mean = _back_project(variance, water.shape[1:]) / np.float32(ANGLES)
        reference = _middle(mean, body)
        spacing_cells = ANGLES // STREAK_ANGLES
        excess = variance[:, ::spacing_cells] / (reference * ANGLES) - STARVED_FROM / ANGLES
        maps = {
            "noise": np.sqrt(mean / reference),
            "hardening": _harden(paths[:, 1], water, bone, CELL_PX * spacing_mm[0] / 10),
            "bone": bone,
            "starved": np.sqrt(np.clip(excess, 0, None) * spacing_cells),
            "body": body,
            "metal": _metal(hu),
        }
        # Rounded as on disk: a head that was kept is scanned to the same bytes.
        return cls(**{name: values.astype(np.float16).astype(np.float32) for name, values in maps.items()})

    def of(self, planes: slice) -> Rays:
        """Return the rays of some of the slices."""
        first, end, _ = planes.indices(len(self.noise))
        metal = self.metal[(self.metal[:, 0] >= first) & (self.metal[:, 0] < end)].copy()
        metal[:, 0] -= first
        kept = {name: getattr(self, name)[planes] for name in ("noise", "hardening", "bone", "starved", "body")}
        return Rays(**kept, metal=metal)

    def merge(self, parts: Sequence[slice]) -> Rays:
        """Return the rays of slices that are means of some of these slices each."""
        mean = {
            name: np.stack([getattr(self, name)[part].mean(0) for part in parts])
            for name in ("noise", "hardening", "bone", "starved", "body")
        }
        metal = [
            np.array([k, y, x, area / (part.stop - part.start)], np.float32)
            for k, part in enumerate(parts)
            for z, y, x, area in self.metal
            if part.start <= z < part.stop
        ]
        return Rays(**mean, metal=np.array(metal, np.float32).reshape(-1, 4))

    def save(self, path: Path) -> None:
        """Write it as a .npz file, in half precision."""
        half = {f.name: getattr(self, f.name).astype(np.float16) for f in fields(self)}
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, **half)

    @classmethod
    def load(cls, path: Path) -> Rays:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as stored:
            return cls(**{f.name: stored[f.name].astype(np.float32) for f in fields(cls)})


def _cells(values: Field, around: float) -> Field:
    """Return the means of [Z, Y, X] over cells of `CELL_PX` pixels; a last cell may be partly `around`."""
    planes, rows, columns = values.shape
    more = [(0, 0), (0, -rows % CELL_PX), (0, -columns % CELL_PX)]
    if any(after for _, after in more):
        values = np.pad(values, more, constant_values=around)
    split = values.reshape(planes, values.shape[1] // CELL_PX, CELL_PX, values.shape[2] // CELL_PX, CELL_PX)
    return np.asarray(split.mean((2, 4), dtype=np.float32))


def _angle(index: int, count: int) -> tuple[float, float]:
    """Return cosine and sine of the angle that rays of an index make with the rows."""
    theta = np.pi * index / count
    return float(np.cos(theta)), float(np.sin(theta))


def _project(maps: Field, angles: int) -> Field:
    """Return the sums of maps [Z, n, y, x] along parallel rays, [Z, n, angles, S] with S of the larger side."""
    planes, count, rows, columns = maps.shape
    size = max(rows, columns)
    across = np.arange(size, dtype=np.float32) - np.float32((size - 1) / 2)
    flat = np.pad(maps, [(0, 0), (0, 0), (1, 1), (1, 1)], mode="edge").reshape(planes, count, -1)
    out = np.empty((planes, count, angles, size), np.float32)
    for a in range(angles):
        cos, sin = _angle(a, angles)
        # A ray runs along (y, x) = (sin, cos); rays differ along (cos, -sin).
        y = across[:, None] * cos + across[None, :] * sin + (rows - 1) / 2 + 1
        x = -across[:, None] * sin + across[None, :] * cos + (columns - 1) / 2 + 1
        inside = (y > 0) & (x > 0) & (y < rows + 1) & (x < columns + 1)
        nearest = (np.clip(np.rint(y), 0, rows + 1) * (columns + 2) + np.clip(np.rint(x), 0, columns + 1)).astype(int)
        out[:, :, a] = (flat[:, :, nearest] * inside).sum(-1)
    return out


def _back_project(rays: Field, shape: tuple[int, ...]) -> Field:
    """Return the sum over angles of what rays [Z, A, S] carry to each cell, [Z, y, x]."""
    planes, angles, size = rays.shape
    y, x = (np.arange(n, dtype=np.float64) - (n - 1) / 2 for n in shape)
    out = np.zeros((planes, *shape), np.float32)
    for a in range(angles):
        cos, sin = _angle(a, angles)
        at = np.clip(y[:, None] * cos - x[None, :] * sin + (size - 1) / 2, 0, size - 1.001)
        low = at.astype(int)
        part = (at - low).astype(np.float32)
        out += rays[:, a, low] * (1 - part) + rays[:, a, low + 1] * part
    return out


def _variance(paths: Field, cell_cm: float) -> Field:
    """Return the variance that each ray brings, [Z, A, S], of water paths in cm."""
    size = paths.shape[-1]
    across = (np.arange(size) - (size - 1) / 2) * cell_cm
    chord = 2 * np.sqrt(np.clip(BOW_TIE_CM**2 - across**2, 0, None))
    bow_tie = BOW_TIE * (2 * BOW_TIE_CM - chord)
    variance = np.exp(WATER_PER_CM * (paths + bow_tie.astype(np.float32)))
    # The tube current follows the angle, most of the way.
    middle = variance[..., size // 3 : -(size // 3)].mean(-1, keepdims=True)
    return np.asarray(variance * (middle.mean(1, keepdims=True) / middle) ** TUBE_FOLLOWS, np.float32)


def _harden(paths: Field, water: Field, bone: Field, cell_cm: float) -> Field:
    """Return the HU [Z, y, x] that beam hardening adds, of bone paths [Z, A, S] in cm; 0 on average in the brain."""
    size = paths.shape[-1]
    smooth = ndimage.gaussian_filter1d(paths, 0.7)
    # Bone that fills a detector partly makes the densest paths come out shorter still.
    short = -HARDENING_PER_CM2 * smooth**2 * (0.4 + smooth / STEEPER_CM)
    padded = scipy.fft.next_fast_len(2 * size, real=True)
    ramp = np.abs(scipy.fft.rfftfreq(padded, cell_cm)).astype(np.float32)
    ramp *= np.cos(np.pi * np.arange(len(ramp)) / (2 * len(ramp))).astype(np.float32)  # no ringing of single cells
    filtered = scipy.fft.irfft(scipy.fft.rfft(short, padded) * ramp, padded)[..., :size]
    scale = np.float32(np.pi / ANGLES / WATER_PER_CM * 1000)
    hu = np.clip(_back_project(np.asarray(filtered, np.float32), water.shape[1:]) * scale, -HARDEST_HU, HARDEST_HU)
    # Smoothed within soft tissue: what bone itself loses must not leak into the brain beside it.
    soft = (bone < 0.3).astype(np.float32)
    blur = (0.4, 0.8, 0.8)
    hu = ndimage.gaussian_filter(hu * soft, blur) / np.maximum(ndimage.gaussian_filter(soft, blur), 0.05)
    skull = bone > 0.05
    closed = np.stack([ndimage.binary_fill_holes(plane) for plane in skull]) & ~skull
    soft_tissue = (water > 1.0) & (water < 1.07)
    lift, whole = _brain_medians(hu, soft_tissue & closed if (soft_tissue & closed).any() else soft_tissue)
    return np.asarray(hu - whole - (1 - np.float32(LIFT_LEFT)) * (lift - whole)[:, None, None], np.float32)


def _brain_medians(hu: Field, brain: NDArray[np.bool_]) -> tuple[Field, float]:
    """Return the medians of HU in the brain, about each slice [Z] and over all: medians, as bars are not lift.

    A slice's neighbours count with it; one with no brain near has the median of all.
    """
    if not brain.any():
        return np.zeros(len(hu), np.float32), 0.0
    whole = float(np.median(hu[brain]))
    counts = brain.sum((1, 2), dtype=np.float64)
    medians = [np.median(plane[seen]) if seen.any() else 0.0 for plane, seen in zip(hu, brain, strict=True)]
    sums, near = (ndimage.gaussian_filter1d(v, 0.6, mode="constant") for v in (counts * medians, counts))
    return np.where(near > 1, sums / np.maximum(near, 1), whole).astype(np.float32), whole


def _bodies(water: Field) -> Field:
    """Return middle (y, x) and half height and width of what is no air in each slice, in pixels, [Z, 4]."""
    out = np.zeros((len(water), 4), np.float32)
    for k, plane in enumerate(water > 0.7):
        ys, xs = np.flatnonzero(plane.any(1)), np.flatnonzero(plane.any(0))
        if not len(ys):
            ys, xs = np.array([0, plane.shape[0] - 1]), np.array([0, plane.shape[1] - 1])
        middle = [(ys[0] + ys[-1] + 1) / 2, (xs[0] + xs[-1] + 1) / 2]
        half = [(ys[-1] + 1 - ys[0]) / 2, (xs[-1] + 1 - xs[0]) / 2]
        out[k] = np.array(middle + half) * CELL_PX
    return out


def _middle(mean: Field, body: Field) -> float:
    """Return the median over slices of the mean variance in the middle of the head."""
    values = []
    for plane, (y, x, *_) in zip(mean, body, strict=True):
        row, column = int(y / CELL_PX), int(x / CELL_PX)
        values.append(plane[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2].mean())
    return max(float(np.median(values)), 1e-6) if values else 1.0


def _metal(hu: NDArray[np.integer] | Field) -> Field:
    """Return plane, y, x and area (pixels) of each piece of metal, [N, 4]."""
    found = []
    for k, plane in enumerate(hu):
        dense = plane > METAL_HU
        if dense.any():
            pieces, count = ndimage.label(dense, np.ones((3, 3)))
            index = np.arange(1, count + 1)
            areas = ndimage.sum_labels(dense, pieces, index)
            found += [
                (k, y, x, area)
                for (y, x), area in zip(ndimage.center_of_mass(dense, pieces, index), areas, strict=True)
            ]
    return np.array(found, np.float32).reshape(-1, 4)
