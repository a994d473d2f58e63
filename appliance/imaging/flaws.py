# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a series that is read nevertheless: each flaw has a code and a sentence, in every answer.

A flaw makes an answer less certain, not useless: a head that moved, metal that throws streaks over the brain, a cut-off
rim. A series that is unreadable is refused (`check`, `pixels`, `stacks`, `selection`). docs/quality.md says where the
limits come from, and how often ordinary simulated heads meet them.

A new flaw is a member of `FlawCode`, a function that yields it, and its place in `_LOOKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from appliance.imaging.geometry import Geometry
from appliance.imaging.header import text, texts
from appliance.imaging.kernels import Sharpness, kernel
from appliance.imaging.pixels import AIR_HU
from appliance.imaging.skull import BODY_HU, SkullSlice
from appliance.imaging.volume import Volume


class FlawCode(StrEnum):
    """What is wrong with a series that was read. The values are metric labels and stand in `result.json` and the SR."""

    MOTION = "motion"
    """The head moved while it was scanned."""
    METAL = "metal"
    """Metal at the height of the brain: its streaks may hide blood, or look like it."""
    CUT_OFF = "cut_off"
    """The edge of the images cuts brain off."""
    BURNED_IN = "burned_in"
    """Text or marks are drawn into the images."""
    KERNEL = "kernel"
    """A kernel between soft and sharp: more noise than the network has seen."""
    STEEP_TILT = "steep_tilt"
    """The gantry was tilted further than heads are scanned with."""
    UNEVEN_SPACING = "uneven_spacing"
    """The slices lie at many different distances."""


@dataclass(frozen=True)
class Flaw:
    """One flaw of the series that an answer is about."""

    code: FlawCode
    reason: str


@dataclass(frozen=True)
class _Look:
    volume: Volume
    geometry: Geometry
    skull: tuple[SkullSlice, ...]


def flaws(volume: Volume, geometry: Geometry, skull: tuple[SkullSlice, ...]) -> tuple[Flaw, ...]:
    """Return what is wrong with a volume that is read nevertheless.

    `geometry` is that of its stack, `skull` the contents of the skull on its slices (`skull.enclosed`).
    """
    look = _Look(volume, geometry, skull)
    return tuple(flaw for function in _LOOKS for flaw in function(look))


# Metal is above 3000 HU (simulator/mimics/metal.py cites why), and a petrous bone below 2500.
_METAL_HU: Final = 2700
_LEAST_METAL_MM2: Final = 6.0


def _metal(look: _Look) -> Iterator[Flaw]:
    pixel_mm2 = look.volume.pixel_spacing_mm[0] * look.volume.pixel_spacing_mm[1]
    areas = [float(np.count_nonzero(look.volume.hu[one.z] >= _METAL_HU)) * pixel_mm2 for one in look.skull]
    shown = [area for area in areas if area >= _LEAST_METAL_MM2]
    if shown:
        yield Flaw(
            FlawCode.METAL,
            f"metal at the height of the brain on {_share(shown, areas)}, up to {max(shown):.0f} mm2: its streaks may "
            "hide blood or look like it",
        )


# If a head moves while a slice is taken, the slice shows it in two places: the outer edge of the skull is less sharp
# than on the slices above and below. If it moves between slices, the slice jumps sideways against both neighbours.
_EDGE_ANGLES: Final = 180
_EDGE_MM: Final = (-8.0, 10.0)
_EDGE_STEP_MM: Final = 0.5
_NEIGHBOURS: Final = 5
_BASE: Final = 0.3
"""The share of slices with brain, from below, that is not compared: the skull base differs from slice to slice."""
_BLURRED: Final = 0.89
_VERY_BLURRED: Final = 0.87
_LEAST_BLURRED: Final = 2
_JUMP_MM: Final = 1.3


def _motion(look: _Look) -> Iterator[Flaw]:
    if len(look.skull) < _NEIGHBOURS:
        return
    sharpness = np.array([_edge_sharpness(look.volume, one) for one in look.skull])
    relative = sharpness / ndimage.median_filter(sharpness, _NEIGHBOURS, mode="nearest")
    relative[: round(_BASE * len(relative))] = 1.0
    blurred = [one for one, value in zip(look.skull, relative, strict=True) if value < _BLURRED]
    if len(blurred) >= _LEAST_BLURRED or relative.min() < _VERY_BLURRED:
        yield Flaw(
            FlawCode.MOTION,
            f"the head moved: the edge of the skull is blurred on {_share(blurred, look.skull)}",
        )
        return
    above = look.skull[round(_BASE * len(look.skull)) :]
    aside_mm = np.array([one.middle[1] * one.spacing_mm[1] for one in above])
    jump_mm = float(np.abs(np.diff(aside_mm, 2)).max(initial=0)) / 2
    if jump_mm > _JUMP_MM:
        yield Flaw(FlawCode.MOTION, f"the head moved: one slice lies {jump_mm:.1f} mm beside those above and below it")


def _edge_sharpness(volume: Volume, one: SkullSlice) -> float:
    """Return how steep the skull's outer edge is on a slice, relative to its height, per sample; the middle angle's."""
    plane = volume.hu[one.z].astype(np.float32)
    angles = np.arange(_EDGE_ANGLES) * (2 * np.pi / _EDGE_ANGLES)
    known = np.arange(len(one.shell_mm)) * (2 * np.pi / len(one.shell_mm))
    shell = np.interp(angles, known, one.shell_mm, period=2 * np.pi)
    reach = shell[:, None] + np.arange(*_EDGE_MM, _EDGE_STEP_MM)
    places = [
        (middle + 0.5) * block_mm / pixel_mm - 0.5 + way[:, None] * reach / pixel_mm
        for middle, block_mm, pixel_mm, way in zip(
            one.middle, one.spacing_mm, volume.pixel_spacing_mm, (np.sin(angles), np.cos(angles)), strict=True
        )
    ]
    profiles = ndimage.map_coordinates(plane, places, order=1, mode="nearest")
    height = np.maximum(np.ptp(profiles, axis=1), 1)
    return float(np.median(np.abs(np.diff(profiles, axis=1)).max(axis=1) / height))


# Rays from the middle of the head that leave the image, or the circle of its reconstruction, within brain.
_CUT_HU: Final = (-10.0, 100.0)
_CUT_RAYS: Final = 3


def _cut_off(look: _Look) -> Iterator[Flaw]:
    cut = [one for one in look.skull if _rays_cut(one) >= _CUT_RAYS]
    if cut:
        yield Flaw(FlawCode.CUT_OFF, f"the edge of the image cuts brain off on {_share(cut, look.skull)}")


def _rays_cut(one: SkullSlice) -> int:
    """Return how many rays end within brain without having met bone or air."""
    low, high = _CUT_HU
    gone = ~one.on_image | (one.rays <= AIR_HU)
    ends = np.where(gone.any(axis=1), np.argmax(gone, axis=1), gone.shape[1])
    # Bone, or air: through a hole in the skull a ray leaves the head, and may end in what the head rests on.
    met = np.array(
        [bool((one.bone[ray, :end] | (one.rays[ray, :end] < BODY_HU)).any()) for ray, end in enumerate(ends)]
    )
    last = one.rays[np.arange(len(ends)), np.maximum(ends - 1, 0)]
    return int(np.count_nonzero(~met & (ends > 0) & (ends < gone.shape[1]) & (last > low) & (last < high)))


# Drawn text has one value, much more frequent than the neighbouring values, in strokes with hard edges. Bone has no
# such value; metal brighter than a file can store has one, but soft edges.
_TEXT_HU: Final = 200
_LEAST_TEXT_PX: Final = 40
_LEAST_STROKES: Final = 4
_HARD_EDGES: Final = 0.7
_STANDS_OUT: Final = 5.0
_BESIDE: Final = 40
_CANDIDATES: Final = 3


def _burned_in(look: _Look) -> Iterator[Flaw]:
    if any(text(header, "BurnedInAnnotation").upper() == "YES" for header in look.volume.headers):
        yield Flaw(FlawCode.BURNED_IN, "the header says that text is drawn into the images")
        return
    drawn = [plane for plane in look.volume.hu if _has_text(plane)]
    if drawn:
        yield Flaw(FlawCode.BURNED_IN, f"text or marks seem to be drawn into {_share(drawn, look.volume.hu)}")


def _has_text(plane: NDArray[np.int16]) -> bool:
    counts = np.bincount(plane[plane >= _TEXT_HU].ravel() - _TEXT_HU) if plane.max() >= _TEXT_HU else np.zeros(0, int)
    for value in np.argsort(counts)[-_CANDIDATES:]:
        beside = np.concatenate([counts[max(0, value - _BESIDE) : value], counts[value + 1 : value + 1 + _BESIDE]])
        usual = float(np.median(beside[beside > 0])) if beside.any() else 0.0
        if counts[value] >= max(_LEAST_TEXT_PX, _STANDS_OUT * usual) and _is_drawn(plane, int(value) + _TEXT_HU):
            return True
    return False


def _is_drawn(plane: NDArray[np.int16], value: int) -> bool:
    """Return whether the pixels of a value are strokes with hard edges."""
    mask = plane == value
    _, strokes = ndimage.label(mask, np.ones((3, 3), int))
    if strokes < _LEAST_STROKES:
        return False
    beside = plane[ndimage.binary_dilation(mask) & ~mask]
    return float(np.mean(beside < value / 4)) >= _HARD_EDGES


def _kernel(look: _Look) -> Iterator[Flaw]:
    made_with = kernel(texts(look.volume.headers[0], "ConvolutionKernel"))
    if made_with.sharpness is Sharpness.MEDIUM:
        yield Flaw(FlawCode.KERNEL, f"kernel {made_with.name} lies between soft and sharp: more noise than is usual")


_STEEP_DEG: Final = 25.0


def _steep_tilt(look: _Look) -> Iterator[Flaw]:
    tilt = look.geometry.tilt_deg
    if tilt > _STEEP_DEG:
        yield Flaw(FlawCode.STEEP_TILT, f"the slices are tilted by {tilt:.0f} degrees")


# A protocol has one distance, or two (fine at the base, coarse above), and rounding.
_SAME_DISTANCE: Final = 0.1
_MOST_DISTANCES: Final = 3


def _uneven_spacing(look: _Look) -> Iterator[Flaw]:
    intervals = np.sort(np.diff(look.volume.positions_mm))
    distances, least = 0, 0.0
    for interval in intervals:
        if interval > least * (1 + _SAME_DISTANCE):
            distances, least = distances + 1, interval
    if distances > _MOST_DISTANCES:
        yield Flaw(
            FlawCode.UNEVEN_SPACING,
            f"the slices lie {intervals[0]:.1f} to {intervals[-1]:.1f} mm apart, at many different distances",
        )


def _share(some: Any, everything: Any) -> str:
    return f"{len(some)} of {len(everything)} slices"


_LOOKS: Final[tuple[Callable[[_Look], Iterator[Flaw]], ...]] = (
    _motion,
    _metal,
    _cut_off,
    _burned_in,
    _kernel,
    _steep_tilt,
    _uneven_spacing,
)
