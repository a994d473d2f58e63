# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The square field about a matrix."""

from __future__ import annotations

import pytest

from appliance.reading.square import SquareField


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0), (0.43, 0.43)])
@pytest.mark.parametrize("columns", [512, 448, 447, 400, 352, 1])
def test_the_shorter_side_is_padded_alike_on_both_sides(columns: int, spacing_mm: tuple[float, float]) -> None:
    assert SquareField.about((512, columns), spacing_mm) == SquareField(512, 512, 0, (512 - columns) // 2)
    assert SquareField.about((columns, 512), spacing_mm) == SquareField(512, 512, (512 - columns) // 2, 0)


def test_a_field_that_is_square_in_mm_is_not_padded_whatever_its_matrix() -> None:
    assert SquareField.about((256, 512), (0.9, 0.45)) == SquareField(256, 512, 0, 0)
    assert SquareField.about((1024, 1024), (0.2, 0.2)) == SquareField(1024, 1024, 0, 0)


def test_a_field_of_other_proportions_becomes_as_wide_as_it_is_tall() -> None:
    field = SquareField.about((256, 400), (1.0, 0.5))
    assert (field.rows, field.columns) == (256, 512)
    assert (field.top, field.left) == (0, 56)
