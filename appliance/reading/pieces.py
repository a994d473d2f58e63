# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Pieces of blood of one type, and which of them are one lesion.

Voxels that touch (26 neighbours) are one piece; pieces whose voxel centres come within the joining distance are one
lesion. Distances are physical: real positions along the normal, and the in-plane shift from slice to slice that a
tilted gantry gives.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

FEW_DISTANCES = 40_000
"""Up to this many distances are measured one by one; a tree costs more to build."""
PAIRS_AT_A_TIME = 2**20
"""Pairs of pieces whose distance is estimated at a time: scattered blood may have thousands of pieces."""

Numbers = NDArray[np.uint16] | NDArray[np.int32]
CoordinatesMm = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
"""Where voxels lie: slices along the normal [Z], rows [Z, Y] and columns [Z, X], mm; only differences matter."""


def pieces(blood: NDArray[np.bool_]) -> tuple[Numbers, int]:
    """Return the piece number (from 1) of each voxel of `blood` [Z, Y, X], 0 elsewhere, and how many there are.

    Numbers have two bytes, unless there are too many pieces: a block may be as large as the volume.
    """
    touching = np.ones((3, 3, 3), bool)
    numbered: Numbers = np.empty(blood.shape, np.uint16)
    try:
        return numbered, int(ndimage.label(blood, structure=touching, output=numbered))
    except RuntimeError:  # scipy: "insufficient bit-depth in requested output type"
        numbered = np.empty(blood.shape, np.int32)
        return numbered, int(ndimage.label(blood, structure=touching, output=numbered))


def even_coordinates_mm(shape: tuple[int, ...], spacing_mm: tuple[float, float, float]) -> CoordinatesMm:
    """Return where the voxels of an even, untilted volume of `shape` [Z, Y, X] lie, `spacing_mm` (z, y, x) apart."""
    along, rows, columns = (
        np.arange(count, dtype=np.float64) * apart for count, apart in zip(shape, spacing_mm, strict=True)
    )
    return along, np.broadcast_to(rows, (shape[0], shape[1])), np.broadcast_to(columns, (shape[0], shape[2]))


def sheared_coordinates_mm(
    shape: tuple[int, ...],
    positions_mm: NDArray[np.float64],
    shifts_mm: tuple[NDArray[np.float64], NDArray[np.float64]],
    pixel_spacing_mm: tuple[float, float],
) -> CoordinatesMm:
    """Return where the voxels of a volume of `shape` [Z, Y, X] lie whose slices may be shifted in their plane.

    Parameters
    ----------
    positions_mm: of the slices along the normal, [Z].
    shifts_mm: of the slices along y and along x, [Z] each; slices of a tilted gantry are shifted.
    pixel_spacing_mm: distance between rows and between columns.
    """
    y, x = (
        shift[:, None] + np.arange(count) * apart
        for shift, count, apart in zip(shifts_mm, shape[1:], pixel_spacing_mm, strict=True)
    )
    return positions_mm, y, x


def join_pieces(
    numbered: Numbers,
    count: int,
    coordinates_mm: CoordinatesMm,
    join_mm: float,
) -> NDArray[np.int32]:
    """Return for each piece number 0 .. count the number (from 1, without gaps) of the lesion it belongs to; 0 for 0.

    `coordinates_mm` are the places of the voxels along the normal [Z], and of rows [Z, Y] and columns [Z, X].
    """
    group = np.arange(count + 1)
    if count > 1 and join_mm > 0:
        _join(group, _surface_points(numbered, count, coordinates_mm), join_mm)
    return np.unique(group, return_inverse=True)[1].astype(np.int32)


def _join(group: NDArray[np.intp], points: list[NDArray[np.float64]], join_mm: float) -> None:
    """Give pieces within `join_mm` of each other the same value in `group` (indexed by piece number)."""
    low = np.array([piece.min(axis=0) for piece in points])
    high = np.array([piece.max(axis=0) for piece in points])
    near: list[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]] = []
    rows = max(1, PAIRS_AT_A_TIME // len(points))
    for start in range(0, len(points), rows):
        some = slice(start, start + rows)
        gap = np.maximum(0, np.maximum(low[some, None] - high[None], low[None] - high[some, None]))
        gap_mm = np.sqrt((gap**2).sum(axis=-1))
        one, other = np.nonzero(np.triu(gap_mm <= join_mm, 1 + start))
        near.append((one + start, other, gap_mm[one, other]))
    first, second, gaps_mm = (np.concatenate(part) for part in zip(*near, strict=True))
    # Likely neighbours first: what they join need not be measured again.
    for pair in np.argsort(gaps_mm, kind="stable"):
        a, b = int(first[pair]), int(second[pair])
        root_a, root_b = group[a + 1], group[b + 1]
        if root_a != root_b and _come_within(points[a], low[a], high[a], points[b], low[b], high[b], join_mm):
            group[group == max(root_a, root_b)] = min(root_a, root_b)


def _come_within(
    a: NDArray[np.float64],
    low_a: NDArray[np.float64],
    high_a: NDArray[np.float64],
    b: NDArray[np.float64],
    low_b: NDArray[np.float64],
    high_b: NDArray[np.float64],
    join_mm: float,
) -> bool:
    """Return whether any point of `a` lies within `join_mm` of any point of `b` (boxes around them given)."""
    a = _select(a, low_b - join_mm, high_b + join_mm)
    b = _select(b, low_a - join_mm, high_a + join_mm)
    if not len(a) or not len(b):
        return False
    if len(a) * len(b) <= FEW_DISTANCES:
        return bool(cdist(a, b).min() <= join_mm)
    few, many = (a, b) if len(a) < len(b) else (b, a)
    # The bound of the query is exclusive, the rule is not.
    bound = float(np.nextafter(join_mm, np.inf))
    tree = cKDTree(many, balanced_tree=False, compact_nodes=False)
    return bool(np.isfinite(tree.query(few, distance_upper_bound=bound)[0]).any())


def _select(points: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the points [n, 3] that lie in the box from `low` to `high`."""
    for axis in range(3):
        at = points[:, axis]
        points = points[(at >= low[axis]) & (at <= high[axis])]
    return points


def _surface_points(
    numbered: Numbers,
    count: int,
    coordinates_mm: CoordinatesMm,
) -> list[NDArray[np.float64]]:
    """Return the coordinates [n, 3] in mm of each piece's outer voxels, piece 1 first.

    The shortest way between two pieces starts and ends at voxels with a free side.
    """
    along, rows, columns = coordinates_mm
    of_piece, points = [], []
    below, plane = np.zeros(numbered.shape[1:], bool), numbered[0] > 0
    for z in range(len(numbered)):
        above = numbered[z + 1] > 0 if z + 1 < len(numbered) else np.zeros_like(plane)
        inner = below & plane & above
        inner[[0, -1]] = inner[:, [0, -1]] = False
        inner[1:-1, 1:-1] &= plane[:-2, 1:-1] & plane[2:, 1:-1] & plane[1:-1, :-2] & plane[1:-1, 2:]
        y, x = np.nonzero(plane & ~inner)
        of_piece.append(numbered[z, y, x])
        points.append(np.stack([np.full(len(y), along[z]), rows[z, y], columns[z, x]], axis=1))
        below, plane = plane, above
    of_each = np.concatenate(of_piece)
    order = np.argsort(of_each, kind="stable")
    ends = np.cumsum(np.bincount(of_each, minlength=count + 1)[1:])
    return np.split(np.concatenate(points)[order], ends[:-1])
