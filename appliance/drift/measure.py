# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What is measured of the images of each study that is read, so that a change of a scanner is seen: a few numbers and
words, a few milliseconds, nothing of the patient.

HU come from the blocks of `skull`, which hardly know noise; that comes from the pixels themselves.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import structlog
from numpy.typing import NDArray

from appliance.imaging.header import number, text, texts
from appliance.imaging.skull import STEP_MM, Enclosed, SkullSlice
from appliance.imaging.volume import Volume
from appliance.log import describe

_BRAIN_HU: Final = (0, 80)
_FLUID_BELOW_HU: Final = 16
_NOISE_SLICES: Final = 5
_NOISE_STEP_MM: Final = 2.5
_CORE: Final = 0.5
"""Half the side of the square in which noise is measured, as a share of the way from the middle to the skull."""
_LEAST_PIXELS: Final = 500
_LONGEST_WORD: Final = 64
NOT_STATED: Final = "(not stated)"

Measured = dict[str, float | str]

_log = structlog.get_logger("drift")


def measure(volume: Volume, inside: Enclosed) -> Measured:
    """Return what is measured of a volume, by the names in `features`; what cannot be measured is left out.

    Never raises: an answer must not fail of it. A fault is logged.
    """
    try:
        found = {**_of_brain(inside), **_noise(volume, inside), **_of_protocol(volume)}
    except Exception as error:
        _log.warning("a study was not measured for drift", error=describe(error))
        return {}
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in found.items()}


def _of_brain(inside: Enclosed) -> Measured:
    """Return the median HU of what a skull encloses and is brain or fluid, and the share of fluid in it, by area."""
    low, high = _BRAIN_HU
    values, areas = [], []
    for one in inside.slices:
        radii = (np.arange(one.rays.shape[1]) + 0.5) * STEP_MM
        kept = (radii + STEP_MM < one.shell_mm[:, None]) & ~one.bone & (one.rays >= low) & (one.rays <= high)
        values.append(one.rays[kept])
        areas.append(np.broadcast_to(radii, kept.shape)[kept])  # rays lie closer together in the middle
    if not values or not sum(map(len, values)):
        return {}
    hu, area = np.concatenate(values), np.concatenate(areas)
    order = np.argsort(hu)
    rising = np.cumsum(area[order])
    median = float(hu[order][np.searchsorted(rising, rising[-1] / 2)])
    return {"brain_hu": median, "fluid_share": float(area[hu < _FLUID_BELOW_HU].sum() / rising[-1])}


def _noise(volume: Volume, inside: Enclosed) -> Measured:
    """Return the noise in the middle of the head, HU.

    The standard deviation by Immerkær (Comput Vis Image Underst 1996): the mean absolute value of a difference of two
    Laplacians, which leaves out edges and slopes. Its neighbours lie `_NOISE_STEP_MM` away, as the noise of a CT is
    alike in pixels that touch; only pixels count whose neighbours are all brain or fluid.
    """
    count = len(inside.slices)
    chosen = np.unique(np.linspace(count // 4, (3 * count) // 4, min(count, _NOISE_SLICES)).round().astype(int))
    sums, pixels = 0, 0
    for index in chosen if count else ():
        plane = _core(volume, inside.slices[min(int(index), count - 1)])
        step = max(1, round(_NOISE_STEP_MM / min(volume.pixel_spacing_mm)))
        if min(plane.shape) <= 2 * step:
            continue
        brain = (plane >= _BRAIN_HU[0]) & (plane <= _BRAIN_HU[1])
        before, at, after = slice(None, -2 * step), slice(step, -step), slice(2 * step, None)
        rows = brain[before] & brain[at] & brain[after]
        surrounded = rows[:, before] & rows[:, at] & rows[:, after]
        down = plane[before] - 2 * plane[at] + plane[after]
        both = down[:, before] - 2 * down[:, at] + down[:, after]
        sums += int(np.abs(both[surrounded]).sum())
        pixels += int(surrounded.sum())
    return {"noise_hu": float(np.sqrt(np.pi / 2) / 6 * sums / pixels)} if pixels >= _LEAST_PIXELS else {}


def _core(volume: Volume, one: SkullSlice) -> NDArray[np.int32]:
    """Return the pixels [Y, X] of a square around the middle of the head, HU."""
    half_mm = _CORE * float(np.median(one.shell_mm))
    windows = []
    for axis in (0, 1):
        middle_mm = (one.middle[axis] + 0.5) * one.spacing_mm[axis]
        pixel_mm = volume.pixel_spacing_mm[axis]
        windows.append(slice(max(0, int((middle_mm - half_mm) / pixel_mm)), int((middle_mm + half_mm) / pixel_mm)))
    return volume.hu[one.z, windows[0], windows[1]].astype(np.int32)


def _of_protocol(volume: Volume) -> Measured:
    """Return how the stack was scanned and by what, as geometry and headers have it."""
    header = volume.headers[0]
    kvp = number(header, "KVP")
    words = {
        "kernel": " ".join(texts(header, "ConvolutionKernel")),
        "scanner": " ".join(filter(None, (text(header, "Manufacturer"), text(header, "ManufacturerModelName")))),
        "kvp": "" if kvp is None else f"{kvp:g}",
    }
    return {
        "thickness_mm": float(np.median(volume.slice_thicknesses_mm)),
        "distance_mm": float(np.median(volume.slice_spans_mm)),
        "pixel_mm": float(volume.pixel_spacing_mm[0]),
        **{name: word[:_LONGEST_WORD] or NOT_STATED for name, word in words.items()},
    }
