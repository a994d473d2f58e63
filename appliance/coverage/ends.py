# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a stack ends where a head ends, seen in the pixels of its last slices.

A scan of a head ends above the vertex, where the skull has closed, and below the brain. If the lowest or the highest
slice still shows a wide space of brain density within a ring of bone, slices are missing there: they were not sent yet,
are in a series that could not be joined, or were never scanned. Headers cannot show this. Slices at an end that show
only air or one value do not count: truncated images arrive filled with zeros.

The figures behind the limits are in docs/completeness.md; `python -m benchmarks.ends` makes them again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from appliance.errors import RefusedError
from appliance.imaging.pixels import hounsfield
from appliance.imaging.stacks import Stack
from appliance.imaging.volume import Volume

Plane = NDArray[np.int16]

TOP_CM2: Final = 25.0
"""A top slice that shows more of the inside of the skull is no vertex: a dome of 14 cm continues 6 mm above it."""
BASE_CM2: Final = 65.0
"""A lowest slice that shows more is no base: where scans begin the median is 22 cm2, and 84 cm2 at 2 cm above."""
RING_CM2: Final = 40.0
"""The middle of a head shows more than this; if it does not, the skull is open and its ends cannot be seen."""
LEAST_MM: Final = 100.0
"""A head from base to vertex covers more than this; a shorter stack is whole only if both ends are seen."""

_BODY_ABOVE_HU: Final = -500
_EMPTY_CM2: Final = 5.0
"""A slice that shows less than this of anything denser than air is empty: even the cap of a scalp is wider."""
_PROBED: Final = 17

_GRID_MM: Final = 1.6
"""Slices are averaged in blocks of about this size: noise vanishes, a skull of 3 mm stays."""
_BONE_ABOVE_HU: Final = 160
_BRAIN_HU: Final = (-15, 95)
_CLOSES_MM: Final = 4.0
"""Gaps in the ring up to twice this width are closed: sutures, foramina, burr holes."""
_NARROWEST_MM: Final = 6.0
"""Anything narrower than twice this is no space: orbit walls, sinuses, the folds of a scalp."""


def intracranial_cm2(hu: Plane, pixel_spacing_mm: tuple[float, float]) -> float:
    """Return the area of the widest space on a slice that is ringed by bone and as dense as brain, cm2.

    `hu` is one slice [Y, X]. A ring that is open by more than a few millimetres (after a craniectomy) encloses nothing:
    the result is 0, so that an end is not called open when it may not be.
    """
    blocks = [max(1, round(_GRID_MM / mm)) for mm in pixel_spacing_mm]
    height, width = (size // block * block for size, block in zip(hu.shape, blocks, strict=True))
    coarse = hu[:height, :width].reshape(height // blocks[0], blocks[0], width // blocks[1], blocks[1])
    plane = coarse.mean(axis=(1, 3), dtype=np.float32)
    grid_mm = tuple(mm * block for mm, block in zip(pixel_spacing_mm, blocks, strict=True))
    bone = plane > _BONE_ABOVE_HU
    if not bone.any():
        return 0.0
    # With a margin, so that a ring at the edge of the image closes too.
    bone = np.pad(bone, 4)
    closed = ndimage.binary_closing(bone, _disc(_CLOSES_MM, grid_mm))
    inside = (ndimage.binary_fill_holes(closed) & ~bone)[4:-4, 4:-4]
    low, high = _BRAIN_HU
    brain = inside & (plane > low) & (plane < high)
    brain = ndimage.binary_opening(brain, _disc(_NARROWEST_MM, grid_mm))
    spaces, found = ndimage.label(brain)
    if not found:
        return 0.0
    return float(np.bincount(spaces.ravel())[1:].max()) * grid_mm[0] * grid_mm[1] / 100


def body_cm2(hu: Plane, pixel_spacing_mm: tuple[float, float]) -> float:
    """Return how much of a slice [Y, X] shows anything denser than air, cm2."""
    return int(np.count_nonzero(hu > _BODY_ABOVE_HU)) * pixel_spacing_mm[0] * pixel_spacing_mm[1] / 100


@dataclass(frozen=True)
class Ends:
    """What the lowest, the middle and the highest slice of a stack show of the inside of the skull, cm2.

    `empty_below` and `empty_above` are how many slices beyond the lowest and the highest of these show nothing.
    """

    base_cm2: float
    middle_cm2: float
    top_cm2: float
    empty_below: int = 0
    empty_above: int = 0

    @property
    def middle_is_ringed(self) -> bool:
        """Whether the middle shows a closed ring of bone, so that open ends would be seen."""
        return self.middle_cm2 >= RING_CM2

    @property
    def shows_base(self) -> bool:
        """Whether the lowest slice that shows anything can be the base."""
        return self.base_cm2 <= BASE_CM2

    @property
    def shows_top(self) -> bool:
        """Whether the highest slice that shows anything can be the top."""
        return self.top_cm2 <= TOP_CM2

    @classmethod
    def of(cls, slices: int, plane: Callable[[int], Plane], pixel_spacing_mm: tuple[float, float]) -> Ends:
        """Return what the ends of a stack show; `plane` returns a slice [Y, X] of it in HU by its index."""
        read = lru_cache(None)(plane)
        low, high = _shown_range(slices, lambda at: _is_empty(read(at), pixel_spacing_mm))
        base, middle, top = (intracranial_cm2(read(at), pixel_spacing_mm) for at in (low, (low + high + 1) // 2, high))
        return cls(base, middle, top, low, slices - 1 - high)

    def missing(self, extent_mm: float) -> tuple[str, ...]:
        """Return what is missing of a head, a sentence each; none when nothing seems to be missing."""
        found = []
        if not self.shows_base:
            found.append(
                f"the base of the head is missing: the lowest slice still shows {self.base_cm2:.0f} cm2 "
                f"of the inside of the skull{_empty(self.empty_below, 'below')}"
            )
        if not self.shows_top:
            found.append(
                f"the top of the head is missing: the highest slice still shows {self.top_cm2:.0f} cm2 "
                f"of the inside of the skull{_empty(self.empty_above, 'above')}"
            )
        if not found and extent_mm < LEAST_MM and not self.middle_is_ringed:
            found.append(f"the slices cover {extent_mm:.0f} mm, less than a head, and its ends cannot be seen")
        return tuple(found)


def ends_of(stack: Stack, fetch: Callable[[str], bytes]) -> Ends | None:
    """Return what the ends of a stack show, by a few of its slices; None when they cannot be read.

    `fetch` returns the file of an instance's `ref`; its errors other than refusals are passed on.
    """
    geometry = stack.geometry
    if geometry is None:
        return None
    try:
        return Ends.of(len(stack.instances), lambda at: plane_of(stack, at, fetch), geometry.contract_spacing_mm)
    except RefusedError:  # reading the stack will meet it again and report it
        return None


def plane_of(stack: Stack, at: int, fetch: Callable[[str], bytes]) -> Plane:
    """Return one slice of a stack that has a geometry, int16 [Y, X], HU, turned as the contract wants it.

    Raises `RefusedError` for an image that cannot be read, and what `fetch` raises.
    """
    assert stack.geometry is not None
    return stack.geometry.turn.to_contract(hounsfield(fetch(stack.instances[at].ref), stack.instances[at]))


def ends_of_volume(volume: Volume) -> Ends:
    """Return what the ends of a volume show."""
    return Ends.of(volume.slices, lambda at: volume.hu[at], volume.pixel_spacing_mm)


def shows_something(volume: Volume) -> NDArray[np.bool_]:
    """Return which slices of a volume show anything, bool [Z], by every fourth pixel of every fourth row."""
    spacing_mm = 4 * volume.pixel_spacing_mm[0], 4 * volume.pixel_spacing_mm[1]
    return np.array([not _is_empty(one, spacing_mm) for one in volume.hu[:, ::4, ::4]])


def _empty(slices: int, where: str) -> str:
    """Return the words about empty slices beyond an end; "" without any."""
    if not slices:
        return ""
    return f", and the slice {where} it is empty" if slices == 1 else f", and the {slices} slices {where} it are empty"


def _shown_range(slices: int, is_empty: Callable[[int], bool]) -> tuple[int, int]:
    """Return the lowest and the highest slice that show something, those of the stack when none is found.

    It searches by halving, because each slice may have to be fetched, and assumes that the slices that show something
    are contiguous.
    """
    last = slices - 1
    if not is_empty(0) and not is_empty(last):
        return 0, last
    probed = np.unique(np.linspace(0, last, _PROBED).round().astype(int)).tolist()
    within = next((at for at in probed if not is_empty(at)), None)
    return (0, last) if within is None else (_outermost(0, within, is_empty), _outermost(last, within, is_empty))


def _outermost(end: int, within: int, is_empty: Callable[[int], bool]) -> int:
    """Return the slice nearest to `end` that shows something; the slice `within` does."""
    if not is_empty(end):
        return end
    while abs(end - within) > 1:
        middle = (end + within) // 2
        if is_empty(middle):
            end = middle
        else:
            within = middle
    return within


def _is_empty(plane: Plane, pixel_spacing_mm: tuple[float, float]) -> bool:
    """Return whether a slice [Y, X] shows nothing: one value throughout, or hardly anything but air."""
    return bool(plane.min() == plane.max()) or body_cm2(plane, pixel_spacing_mm) < _EMPTY_CM2


def _disc(radius_mm: float, grid_mm: tuple[float, ...]) -> NDArray[np.bool_]:
    """Return a disc as a structuring element, at least one pixel to each side."""
    reach = [max(1, round(radius_mm / mm)) for mm in grid_mm]
    y, x = np.ogrid[-reach[0] : reach[0] + 1, -reach[1] : reach[1] + 1]
    return np.asarray((y / (reach[0] + 0.3)) ** 2 + (x / (reach[1] + 0.3)) ** 2 <= 1)
