# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""From a slice of voxel labels to the instances that a detector learns: boxes with a type.

The paper does not say how a slice's mask is cut into instances. Here: blood of one type that lies within a few
pixels is one component (sulcal blood would otherwise be dozens), and a component longer than the largest anchor is
cut on a regular grid into pieces of at most that size (a 385 x 116 px crescent fits no anchor). A detection's mask is
all blood of its type inside its box, so pieces lose nothing, and their union is the bleed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from appliance.reading.contract import ANCHOR_SIZES_PX, TYPES

MAX_PIECE_PX: Final = float(ANCHOR_SIZES_PX[-1])
MIN_BOX_PX: Final = 8.0
JOIN_PX: Final = 3
# Beside a larger bleed a speck below this area is neither taught as an instance nor big enough to spoil a negative. On
# its own it is all there is: a punctate bleed, or the tip of one, is a few pixels on a slice.
SPECK_PX: Final = 4
MAX_PIECES: Final = 24
TYPE_LABELS: Final = tuple(kind.label for kind in TYPES)


@dataclass(frozen=True)
class Cutting:
    """How the blood of a slice becomes pieces; `python -m training.ceiling` says what each choice costs.

    Attributes
    ----------
    longest_px
        The longest side of a piece.
    join_px
        Blood of a type is one component where widening it by this much makes it one.
    speck_px
        Pieces of a smaller area are left out on slices that hold larger ones of their type.
    most
        Pieces a slice; the largest are kept.
    """

    longest_px: float = MAX_PIECE_PX
    join_px: int = JOIN_PX
    speck_px: int = SPECK_PX
    most: int = MAX_PIECES


TAUGHT: Final = Cutting()


def pieces(
    labels: NDArray[np.uint8], cutting: Cutting = TAUGHT, kinds: Iterable[int] = TYPE_LABELS
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Return the boxes [G, 4] (y1, x1, y2, x2, y2 and x2 exclusive) and labels [G] of the pieces of one slice.

    `labels` [H, W] holds 0 or one of `kinds`, by default a type's label. Boxes are padded to at least `MIN_BOX_PX`; the
    largest piece (by labelled area) comes first.
    """
    found: list[tuple[int, tuple[float, float, float, float], int]] = []
    spans = ndimage.find_objects(labels) if labels.any() else []
    for label in kinds:
        span = spans[label - 1] if label <= len(spans) else None
        if span is None:
            continue
        # A slice is searched only where it holds the kind: the search of whole slices took a quarter of a batch's time.
        y, x = (slice(max(0, part.start - cutting.join_px), part.stop + cutting.join_px) for part in span)
        blood = labels[y, x] == label
        joined = ndimage.binary_dilation(blood, iterations=cutting.join_px) if cutting.join_px else blood
        components, _ = ndimage.label(joined)
        components *= blood
        of_kind: list[tuple[int, tuple[float, float, float, float], int]] = []
        for number, where in enumerate(ndimage.find_objects(components), start=1):
            if where is not None:
                inside = components[where] == number
                cut = _cut(inside, y.start + where[0].start, x.start + where[1].start, cutting)
                of_kind += [(area, box, label) for area, box in cut]
        found += [piece for piece in of_kind if piece[0] >= cutting.speck_px] or of_kind
    found = sorted(found, key=lambda piece: -piece[0])[: cutting.most]
    boxes = np.array([box for _, box, _ in found], np.float32).reshape(-1, 4)
    return boxes, np.array([label for *_, label in found], np.int32)


MIMICS: Final = Cutting(join_px=0, speck_px=12)
"""How what is often taken for blood becomes pieces: thin and scattered as it is, each part for itself."""


def _cut(
    blood: NDArray[np.bool_], top: int, left: int, cutting: Cutting
) -> list[tuple[int, tuple[float, float, float, float]]]:
    """Return (area, box) of the pieces of one component, given in its bounding box at (top, left)."""
    result = []
    rows, columns = (
        np.linspace(0, extent, max(1, int(np.ceil(extent / cutting.longest_px))) + 1).round().astype(int)
        for extent in blood.shape
    )
    for y1, y2 in pairwise(rows):
        for x1, x2 in pairwise(columns):
            y, x = np.nonzero(blood[y1:y2, x1:x2])
            if len(y):
                low_y, high_y = _pad(top + y1 + y.min(), top + y1 + y.max() + 1)
                low_x, high_x = _pad(left + x1 + x.min(), left + x1 + x.max() + 1)
                result.append((len(y), (low_y, low_x, high_y, high_x)))
    return result


def _pad(low: float, high: float) -> tuple[float, float]:
    """Return the interval widened about its centre to at least `MIN_BOX_PX`."""
    missing = max(0.0, MIN_BOX_PX - (high - low)) / 2
    return low - missing, high + missing
