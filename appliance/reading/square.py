# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The square field that the network sees if a scan's field is not square: padded with air, never stretched.

Scanners cut the air off (512 rows of 400 columns), and a head stretched to a square has lesions of another shape and
type. The field is padded equally on both sides, to the length of its longer side in mm, and the way back of boxes and
masks removes the padding again. A scan whose field is square in mm, whatever its matrix, has no padding.
"""

from __future__ import annotations

from dataclasses import dataclass

_SAME_MM = 1e-3


@dataclass(frozen=True)
class SquareField:
    """A square field about a matrix: `rows` and `columns` of it in the matrix's pixels, the matrix's own from `top` and
    `left` on."""

    rows: int
    columns: int
    top: int
    left: int

    @classmethod
    def about(cls, matrix: tuple[int, int], pixel_spacing_mm: tuple[float, float] = (1.0, 1.0)) -> SquareField:
        """Return the square field about a matrix of (rows, columns); the spacing is that of rows and of columns, mm."""
        extents = [size * mm for size, mm in zip(matrix, pixel_spacing_mm, strict=True)]
        side = max(extents)
        rows, columns = (
            size if side - extent < _SAME_MM else max(size, round(side / mm))
            for size, extent, mm in zip(matrix, extents, pixel_spacing_mm, strict=True)
        )
        return cls(rows, columns, (rows - matrix[0]) // 2, (columns - matrix[1]) // 2)
