# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from appliance.inference.detections import ModelIdentity, Reading
from appliance.reading.detections import Box, Detection
from benchmarks.accuracy.mitigations import denoised, mean_reading, mirrored_reading
from benchmarks.accuracy.perturbed_studies import Withstood, markdown, summary


def reading(*found: Detection) -> Reading:
    return Reading(found, (), ModelIdentity("stand-in", "1", "0" * 64), 0.9)


def detection(z: int, box: tuple[float, float, float, float], *scores: float) -> Detection:
    return Detection(z, Box(*box), scores, np.ones((4, 4), np.float32))


def test_a_mirrored_reading_lies_where_the_study_has_it() -> None:
    hu = np.zeros((3, 512, 512), np.int16)
    hu[1, 50:60, 100:140] = 60
    hu[1, 50:60, 100:120] = 70

    def read(seen: np.ndarray) -> Reading:
        """Mark what is bright, with the HU of each quarter as mask."""
        z, y, x = np.nonzero(seen)
        box = Box(y.min(), x.min(), y.max() + 1, x.max() + 1)
        mask = seen[1, 50:60, x.min() : x.max() + 1].reshape(2, 5, 4, 10).mean((1, 3)).astype(np.float32)
        return reading(Detection(int(z[0]), box, (0.9, 0.0, 0.0), mask))

    (plain,), (mirrored,) = read(hu).detections, mirrored_reading(read, hu).detections
    assert mirrored.box == plain.box == Box(50, 100, 60, 140)
    np.testing.assert_array_equal(mirrored.mask, plain.mask)


def test_what_both_readings_have_keeps_its_mean_and_what_one_has_is_halved() -> None:
    first = reading(detection(2, (10, 10, 30, 30), 0.9, 0.1, 0.0), detection(2, (100, 100, 120, 120), 0.8, 0.0, 0.0))
    second = reading(
        detection(2, (11, 10, 31, 30), 0.5, 0.3, 0.0),
        detection(3, (100, 100, 120, 120), 0.8, 0.0, 0.0),
        detection(5, (0, 0, 9, 9), 0.0, 0.0, 0.6),
    )
    merged = mean_reading(first, second).detections
    assert [(one.slice_index, one.box.y1) for one in merged] == [(2, 10), (2, 100), (3, 100), (5, 0)]
    assert [one.score for one in merged] == pytest.approx([0.7, 0.4, 0.4, 0.3])
    assert merged[0].scores == pytest.approx((0.7, 0.2, 0.0))
    assert not mean_reading(reading(), reading()).detections


def test_a_median_filter_removes_single_voxels_and_keeps_edges_in_their_slice() -> None:
    hu = np.zeros((2, 20, 20), np.int16)
    hu[0, :, 10:] = 60
    seen = hu.copy()
    seen[0, 5, 5] += 4
    np.testing.assert_array_equal(denoised(seen), hu)


def test_a_table_says_what_each_way_of_reading_finds_as_drawn_and_perturbed() -> None:
    drawn, perturbed = {"plain": 0.99, "median filter": 0.95}, {"plain": 0.7, "median filter": 0.96}
    studies = [
        Withstood("iph-1", True, 32, 40, 0.8, drawn, perturbed),
        Withstood(
            "none-2", False, 32, 10, 0.3, {"plain": 0.2, "median filter": 0.1}, {"plain": 0.92, "median filter": 0.3}
        ),
    ]
    plain, median = summary(studies, 0.9)
    assert (plain["drawn"]["found"], plain["perturbed"]["found"], plain["perturbed"]["false_alarms"]) == (1, 0, 1)
    assert (median["perturbed"]["found"], median["calls_a_chunk"]) == (1, 1)
    told = markdown(studies, 0.9)
    assert "| plain | 1 | 1 of 1 | 0 of 1 | 0.700 | 0 of 1 | 1 of 1 | 0.920 |" in told
    assert told.endswith("50 calls by the searches, at most 20 times those of one reading.")
