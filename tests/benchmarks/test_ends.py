# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The table of missing ends counts what was cut where it says so."""

from __future__ import annotations

import numpy as np

from appliance.coverage.ends import BASE_CM2, TOP_CM2
from benchmarks.ends import table


def test_a_head_is_counted_as_soon_as_its_end_slice_is_over_the_limit() -> None:
    rising = [0.0, BASE_CM2, BASE_CM2 + 1, *[200.0] * 12]
    falling = [*[150.0] * 6, TOP_CM2 + 1, TOP_CM2, 0.0, 0.0]
    _, _, *rows = table([np.array(rising + falling)] * 3)
    cells = [row.split(" | ") for row in rows]
    assert [row[3] for row in cells[:4]] == ["0 of 3", "0 of 3", "3 of 3", "3 of 3"]
    assert [row[1] for row in cells[:3]] == ["0 of 3", "3 of 3", "3 of 3"]
    assert cells[1][2] == f"{TOP_CM2 + 1:.0f}, {TOP_CM2 + 1:.0f}, {TOP_CM2 + 1:.0f}"
