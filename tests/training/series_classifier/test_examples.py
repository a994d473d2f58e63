# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What the series classifier learns from: one head's series and other things, and how batches vary them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from appliance.reading.series import CHANNELS, CLASSES, INPUT_SHAPE, SIZE, SeriesClass
from training.series_classifier.batches import batches, middle_three, vary
from training.series_classifier.examples import KEPT, load_examples, other_examples


def test_things_that_are_no_heads_are_examples_of_that_class_and_the_same_each_time() -> None:
    first, again = list(other_examples(3)), list(other_examples(3))
    assert {one.series_class for one in first} == {SeriesClass.NOT_HEAD}
    assert len({one.kind for one in first}) == len(first)
    for one, other in zip(first, again, strict=True):
        assert one.thumbnails.shape == (KEPT, *INPUT_SHAPE[1:])
        assert np.array_equal(one.thumbnails, other.thumbnails)


def test_a_batch_holds_every_class_as_often_however_rare_it_is() -> None:
    rng = np.random.default_rng(1)
    classes = np.array([0] * 50 + [1, 2, 3, 4, 5])
    thumbnails = np.zeros((len(classes), KEPT, *INPUT_SHAPE[1:]), np.uint8)
    shown, wanted = next(batches(thumbnails, classes, 24, rng))
    assert shown.shape == (24, *INPUT_SHAPE)
    assert np.bincount(wanted).tolist() == [4] * len(CLASSES)


def test_variation_changes_a_series_and_leaves_its_channels_apart() -> None:
    kept = np.zeros((KEPT, SIZE, SIZE, len(CHANNELS)), np.uint8)
    kept[:, 24:72, 24:72] = np.array([120, 0, 130, 60, 90])
    made = [vary(kept, np.random.default_rng(seed)).astype(float) for seed in range(8)]
    assert len({one.tobytes() for one in made}) == 8
    for one in made:
        middle = one[:, 40:56, 40:56].reshape(-1, len(CHANNELS))
        assert abs(np.median(middle[:, 2]) - 130) < 30 or np.median(middle) == 0
        assert np.median(middle[:, 1]) < 20


def test_the_three_that_are_validated_on_lie_in_order() -> None:
    thumbnails = np.zeros((1, KEPT, *INPUT_SHAPE[1:]), np.uint8)
    thumbnails += np.arange(KEPT, dtype=np.uint8)[None, :, None, None, None]
    lower, middle, upper = middle_three(thumbnails)[0, :, 0, 0, 0]
    assert 0 < lower < middle < upper < KEPT - 1


def test_examples_that_are_not_there_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="seeds 1 to 4"):
        load_examples(tmp_path, range(1, 5))
