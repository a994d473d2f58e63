# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What a voxel's label says, and the volume that labels have: the one definition.

A voxel is labelled with a type when blood of that type fills at least half of it, or when a lesion raises it by at
least half of that lesion's own highest rise in the slice and at least 8 HU. A lesion in a slice is what one bleed shows
there within 10 mm: a faint sulcus far from a full cistern, or a second contusion, has a peak of its own. Blood is all
of a collection, the dark part of a mixed one too, so such a collection is labelled whole. Where types meet, the higher
fraction wins. Blood in a ventricle counts as intraparenchymal. Volumes are those of labelled voxels, as with masks
drawn by hand.

No voxel is labelled that the slice shows brighter than a clot can be: it is seen as bone, whatever blood there is in
it, and no hand draws it. What a slice shows is its noise-free mean, blurred as an ordinary soft-tissue kernel does, so
that labels hang on the head and its planes and not on the scanner of the day.

Slices that are merged from thinner planes are labelled by the same definition, from the means of what the planes hold
(`kept_blood.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from appliance.reading.contract import BRIGHTEST_CLOT_HU, TYPES, HemorrhageType
from simulator.geometry import ScanGeometry
from simulator.scanner.transfer import FWHM_PER_SIGMA

Field = NDArray[np.float32]

LABEL_FRACTION = 0.5
LABEL_RISE_HU = 8.0
READING_KERNEL_MM = 0.8  # full width at half maximum of the point spread that labels are drawn with
LESION_GAP_MM = 10.0  # pieces of one bleed nearer than this are one lesion
_CELL_MM = 2.5  # gaps are measured on cells of about this size


@dataclass(frozen=True)
class SeenBleed:
    """One bleed as the planes of a series show it, before noise.

    Attributes
    ----------
    fraction: float32 [Z, Y, X], how much of each voxel it fills.
    rise: float32 [Z, Y, X], HU by which it raises each voxel.
    shown: float32 [Z, Y, X], HU of each voxel about the bleed, everything in it included, as `shown_hu` says.
    """

    type: HemorrhageType
    fraction: Field = field(repr=False)
    rise: Field = field(repr=False)
    shown: Field = field(repr=False)


def shown_hu(plane: Field, pixel_spacing_mm: tuple[float, float]) -> Field:
    """Return what a noise-free plane [Y, X] (HU) shows after the point spread of an ordinary soft-tissue kernel."""
    sigma = [READING_KERNEL_MM / FWHM_PER_SIGMA / spacing for spacing in pixel_spacing_mm]
    return np.asarray(ndimage.gaussian_filter(plane, sigma, mode="nearest", output=np.float32))


def label_voxels(
    bleeds: Sequence[SeenBleed], shape: tuple[int, int, int], pixel_spacing_mm: tuple[float, float]
) -> NDArray[np.uint8]:
    """Return the labels uint8 [Z, Y, X] of the bleeds in a head, by the definition above."""
    labels = np.zeros(shape, np.uint8)
    best = np.zeros(shape, np.float32)
    for kind in TYPES:
        of_kind = [bleed for bleed in bleeds if bleed.type is kind]
        if not of_kind:
            continue
        fraction = of_kind[0].fraction if len(of_kind) == 1 else np.sum([b.fraction for b in of_kind], 0)
        # Far from a bleed its `shown` is 0.
        shown = of_kind[0].shown if len(of_kind) == 1 else np.max([b.shown for b in of_kind], 0)
        soft = shown <= BRIGHTEST_CLOT_HU
        seen = (fraction >= LABEL_FRACTION) & soft
        for bleed in of_kind:
            for k in np.flatnonzero(bleed.rise.max(axis=(1, 2)) >= LABEL_RISE_HU):
                plane = np.where(soft[k], bleed.rise[k], 0)
                seen[k] |= (plane >= LABEL_RISE_HU) & (plane >= 0.5 * lesion_peaks(plane, pixel_spacing_mm))
        wins = seen & (fraction > best)
        labels[wins] = kind.label
        best[wins] = fraction[wins]
    return labels


def lesion_peaks(rise: Field, pixel_spacing_mm: tuple[float, float]) -> Field:
    """Return for each pixel [Y, X] of a slice the highest rise (HU) of the lesion it belongs to, 0 far from any."""
    cell = [max(1, round(_CELL_MM / spacing)) for spacing in pixel_spacing_mm]
    padding = [(0, -size % c) for size, c in zip(rise.shape, cell, strict=True)]
    rows, columns = (size + pad for size, (_, pad) in zip(rise.shape, padding, strict=True))
    blocks = np.pad(rise, padding).reshape(rows // cell[0], cell[0], columns // cell[1], cell[1])
    highest = blocks.max(axis=(1, 3))
    near = ndimage.distance_transform_edt(
        highest < LABEL_RISE_HU, sampling=[c * s for c, s in zip(cell, pixel_spacing_mm, strict=True)]
    )
    pieces, count = ndimage.label(near <= 0.5 * LESION_GAP_MM, np.ones((3, 3)))
    peaks = np.zeros(count + 1, np.float32)
    np.maximum.at(peaks, pieces, highest)
    peaks[0] = 0
    spread = np.repeat(np.repeat(peaks[pieces], cell[0], 0), cell[1], 1)
    return np.asarray(spread[: rise.shape[0], : rise.shape[1]], np.float32)


def volumes_ml(labels: NDArray[np.uint8], geometry: ScanGeometry) -> dict[HemorrhageType, float]:
    """Return the volume (mL) of the labelled voxels of each type that occurs."""
    per_plane = {kind: (labels == kind.label).sum(axis=(1, 2)) @ geometry.voxel_ml for kind in TYPES}
    return {kind: float(volume) for kind, volume in per_plane.items() if volume > 0}
