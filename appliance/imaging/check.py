# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a volume can be a head in HU: the last look before the network, at the pixels themselves.

The network answers whatever it is given. A series whose values are not HU, that is blank, or that shows another part
of the body must not get a confident answer, however well its header describes a head. The limits are wide, so that they
catch only what is certainly wrong; infants, big skulls, missing skulls and bandages pass.

Padding is no measurement and proves nothing. If a file lacks its intercept, air is 0 HU and brain 1000, and a rim of
padding must not pass for the missing air.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from appliance.errors import Refusal, RefusalCode, RefusedError
from appliance.imaging.header import number
from appliance.imaging.pixels import AIR_HU
from appliance.imaging.skull import Enclosed, blocks, measure_enclosed, slices_to_look_at
from appliance.imaging.volume import Volume

# Shares of the voxels that are not padding.
_LEAST_AIR = 0.001
_LEAST_SOFT_TISSUE = 0.01
_AIR_BELOW_HU = -500
_SOFT_TISSUE_HU = (-20, 120)
# If the field of view lies within the head and shows no air, brain in a skull shows that the values are HU: bone is the
# densest thousandth, and this much of the stack is brain. Without an intercept, air enclosed by a head rest of 1200 HU
# has passed for brain on a few slices.
_LEAST_BONE_HU = 300
_BRAIN_WITHOUT_AIR = 0.5
# How much of the stack has to show brain in a skull: the vertex alone and the base alone show little.
_LEAST_BRAIN_MM = 20.0
# The contents of the skull, brain and fluid: the median, and the upper quartile, which is brain if the ventricles are
# wide. Simulated heads, which vary more than real ones, have medians of 22 to 40 HU, lower quartiles of 7 to 33 and
# upper ones of 28 to 47.
_BRAIN_MEDIAN_MOST_HU = 48
_BRAIN_UPPER_LEAST_HU = 18
# Within these limits a brain may be very dense or very thin, or its values may be off by a few dozen HU. The air around
# the head decides: an offset would have moved it out of the range in which scanners show air. Blood or contrast agent
# in half of a brain leaves the lower quartile unchanged; an offset moves it.
_DENSE_MEDIAN_HU = 44
_DENSE_LOWER_HU = 38
_THIN_HU = (18, 24)
_AIR_IF_DENSE_HU = -990
_AIR_IF_THIN_HU = -992
# If much of the volume is less dense than fat, most of that is plain air; -500 HU means that values were halved.
_GAS_BELOW_HU = -300
_MUCH_GAS = 0.15
_AIR_MOST_HU = -850
# If no air can be measured (masked, clipped, outside the field of view), fat shows the scale: in simulated heads of 51
# seeds its least dense quarter lies 94 to 147 HU below the upper quartile of brain; 1.5 times that is 141 to 220. At a
# low voltage fat is less dense (about -130 HU at 80 kVp) and brain denser; without a stated voltage both are possible.
# The effect is in docs/quality.md. What is less dense than `_FAT_HU` is foam of a holder; some foam is denser.
_FAT_HU = (-245, -25)
_FAT_FLAT_HU = 30
_FAT_SPREAD_HU = 30
_LEAST_FAT_BLOCKS = 400
_FAT_BELOW_BRAIN_MOST_HU = 170
_FAT_BELOW_BRAIN_AT_LOW_KVP_HU = 195
_LOW_KVP = 110
_STEP = 4
_BEFORE, _SAME, _AFTER = slice(None, -2), slice(1, -1), slice(2, None)
_OPPOSITE = (
    ((_BEFORE, _SAME), (_AFTER, _SAME)),
    ((_SAME, _BEFORE), (_SAME, _AFTER)),
    ((_BEFORE, _BEFORE), (_AFTER, _AFTER)),
    ((_BEFORE, _AFTER), (_AFTER, _BEFORE)),
)


def check(volume: Volume) -> Enclosed:
    """Return what the skull encloses, or raise `RefusedError`: IMPLAUSIBLE_HU or NOT_HEAD, with the figures why."""

    def refusal(code: RefusalCode, reason: str) -> RefusedError:
        return RefusedError(Refusal(code, reason, volume.series_uid))

    # Every fourth pixel of every fourth row is enough to show all of this.
    sparse = volume.hu[:, ::_STEP, ::_STEP]
    blank = [index for index, plane in enumerate(sparse) if plane.min() == plane.max()]
    if len(blank) == volume.slices:
        raise refusal(RefusalCode.IMPLAUSIBLE_HU, "every image has one value throughout")
    shown = [index for index in range(volume.slices) if index not in set(blank)]
    between = [index for index in blank if shown[0] < index < shown[-1]]
    if between:
        raise refusal(
            RefusalCode.IMPLAUSIBLE_HU,
            f"image {volume.instance_uids[between[0]]} between other slices has one value throughout",
        )
    measured = sparse[sparse > AIR_HU]
    if not measured.size:
        raise refusal(RefusalCode.IMPLAUSIBLE_HU, "every pixel is padding or less dense than air")
    low, high = _SOFT_TISSUE_HU
    soft = float(np.mean((measured >= low) & (measured <= high)))
    if soft < _LEAST_SOFT_TISSUE:
        raise refusal(RefusalCode.IMPLAUSIBLE_HU, f"only {soft:.1%} of the voxels are soft tissue ({low} to {high} HU)")
    inside = measure_enclosed(volume)
    air = float(np.mean(measured < _AIR_BELOW_HU))
    shows_brain = inside.height_mm >= _LEAST_BRAIN_MM
    mostly_brain = shows_brain and inside.height_mm >= _BRAIN_WITHOUT_AIR * volume.slice_spans_mm.sum()
    if air < _LEAST_AIR and not (mostly_brain and np.percentile(measured, 99.9) >= _LEAST_BONE_HU):
        raise refusal(
            RefusalCode.IMPLAUSIBLE_HU, f"only {air:.1%} of the voxels are air: the values do not look like HU"
        )
    if not shows_brain:
        raise refusal(
            RefusalCode.NOT_HEAD,
            f"{inside.height_mm:.0f} mm of the stack show brain in a skull, a head at least {_LEAST_BRAIN_MM:.0f} mm",
        )
    air_hu = _air_hu(measured)
    if air_hu is not None and air_hu > _AIR_MOST_HU:
        raise refusal(RefusalCode.IMPLAUSIBLE_HU, f"air measures {air_hu:.0f} HU: the values do not look like HU")
    if not _can_be_brain(inside, air_hu):
        raise refusal(
            RefusalCode.IMPLAUSIBLE_HU,
            f"what the skull encloses has a median of {inside.median_hu:.0f} HU and an upper quartile of "
            f"{inside.upper_hu:.0f} HU, which no brain has: the values do not look like HU",
        )
    below = _fat_below_brain_hu(volume, inside) if air_hu is None else None
    if below is not None and below > _fat_below_brain_most_hu(volume):
        raise refusal(
            RefusalCode.IMPLAUSIBLE_HU,
            f"fat is {below:.0f} HU less dense than brain, more than in any head: the values do not look like HU",
        )
    return inside


def _fat_below_brain_hu(volume: Volume, inside: Enclosed) -> float | None:
    """Return how far fat lies below brain, HU; None if too little fat is shown.

    Blocks of 1.6 mm count if they differ little from two opposite neighbours, which blocks at the edge of air do not.
    In plain fat the least dense quarter lies close to the median; if it does not, it is foam of a holder, and the
    median is used.
    """
    low, high = _FAT_HU
    found = []
    for z in slices_to_look_at(volume):
        plane, _ = blocks(volume.hu[z], volume.pixel_spacing_mm)
        fat, flat = (plane > low) & (plane < high), np.zeros(plane.shape, np.bool_)
        for one, other in _OPPOSITE:
            flat[1:-1, 1:-1] |= (np.abs(plane[one] - plane[1:-1, 1:-1]) < _FAT_FLAT_HU) & (
                np.abs(plane[other] - plane[1:-1, 1:-1]) < _FAT_FLAT_HU
            )
        found.append(plane[fat & flat])
    values = np.concatenate(found)
    if values.size < _LEAST_FAT_BLOCKS:
        return None
    lower, median = np.percentile(values, (25, 50))
    return inside.upper_hu - float(max(lower, median - _FAT_SPREAD_HU))


def _fat_below_brain_most_hu(volume: Volume) -> float:
    """Return how far fat may lie below brain at the tube voltage that the first header states, HU."""
    kvp = number(volume.headers[0], "KVP")
    return _FAT_BELOW_BRAIN_AT_LOW_KVP_HU if kvp is None or kvp < _LOW_KVP else _FAT_BELOW_BRAIN_MOST_HU


def _air_hu(measured: NDArray[np.int16]) -> float | None:
    """Return the median of air, HU; None if the voxels hold too little of it."""
    gas = measured[measured < _GAS_BELOW_HU]
    return float(np.median(gas)) if gas.size >= _MUCH_GAS * measured.size else None


def _can_be_brain(inside: Enclosed, air_hu: float | None) -> bool:
    """Return whether the contents of the skull have the HU of brain and fluid, given the HU of air."""
    if inside.upper_hu < _BRAIN_UPPER_LEAST_HU:
        return False
    air_is_right = air_hu is not None and air_hu <= _AIR_IF_DENSE_HU
    partly_dense = inside.lower_hu <= _DENSE_LOWER_HU
    if inside.median_hu > _BRAIN_MEDIAN_MOST_HU:
        return partly_dense and air_is_right
    if inside.median_hu > _DENSE_MEDIAN_HU:
        return partly_dense or air_is_right
    thin_median_hu, thin_upper_hu = _THIN_HU
    if inside.median_hu < thin_median_hu and inside.upper_hu < thin_upper_hu:
        return air_hu is not None and air_hu >= _AIR_IF_THIN_HU
    return True
