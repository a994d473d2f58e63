# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from appliance.findings.masks import patch
from appliance.inference.detections import Box, Detection
from appliance.reading.contract import MASK_SIZE, MATRIX
from training.pasting import blood, pasted


@pytest.mark.parametrize(
    "box",
    [
        (10.2, 20.6, 90.7, 130.4),
        (0.0, 0.0, 8.0, 8.0),
        (500.5, 400.0, 512.0, 512.0),
        (100.6, 100.6, 101.4, 101.4),
    ],
)
def test_a_mask_is_pasted_as_the_service_pastes_it(box: tuple[float, float, float, float]) -> None:
    mask = np.random.default_rng(1).random((MASK_SIZE, MASK_SIZE), np.float32)
    theirs = patch(Detection(3, Box(*box), (0.0, 0.0, 1.0), mask), (MATRIX, MATRIX))
    window, probability = pasted(np.array(box), mask, (MATRIX, MATRIX))
    assert window == theirs.window[1:]
    np.testing.assert_array_equal(probability, theirs.probability)
    np.testing.assert_array_equal(blood(probability), theirs.blood)


def test_a_mask_that_reaches_one_half_nowhere_leaves_its_most_probable_pixel() -> None:
    probability = np.full((4, 5), 0.1, np.float32)
    probability[2, 3] = 0.3
    assert np.argwhere(blood(probability)).tolist() == [[2, 3]]
