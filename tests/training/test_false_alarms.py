# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""False alarms of whole heads: what is kept of them, and that batches come back to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from appliance.reading.contract import CHUNK_SLICES, CONTEXT_SLICES, MASK_SIZE, MAX_DETECTIONS
from appliance.reading.detections import Outputs
from simulator.diagnosis import Diagnosis
from simulator.noise_free import NoiseFreeScan
from training.batches import Shape, batch
from training.false_alarms import FalseAlarms, false_alarms
from training.heads import Head, find_heads

ROWS, COLUMNS, SLICE = slice(300, 340), slice(120, 160), 3


def detect(hu: np.ndarray) -> Outputs:
    """Answer as a detector that takes whatever is dense for hemorrhage: one box a slice, sure of it above 200 HU."""
    number, box = np.zeros(MAX_DETECTIONS, np.int32), np.zeros((MAX_DETECTIONS, 4), np.float32)
    score = np.zeros((MAX_DETECTIONS, 3), np.float32)
    count = 0
    for target in range(CHUNK_SLICES):
        plane = hu[target + CONTEXT_SLICES]
        rows, columns = np.nonzero(plane > 90)
        if rows.size > 400:
            number[count] = target
            box[count] = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
            score[count, 1] = 0.9 if plane[rows, columns].mean() > 200 else 0.3
            count += 1
    return {
        "detection_count": np.array([count], np.int32),
        "detection_slice": number,
        "detection_box": box,
        "detection_score": score,
        "detection_mask": np.ones((MAX_DETECTIONS, MASK_SIZE, MASK_SIZE), np.float32),
    }


def keep_head(folder: Path, seed: int, diagnosis: str = "none", dense_hu: int = 300) -> None:
    hu = np.full((8, 512, 512), 30, np.int16)
    hu[SLICE, ROWS, COLUMNS] = dense_hu
    labels = np.zeros(hu.shape, np.uint8)
    if diagnosis != "none":
        labels[5, 100:140, 100:140] = 1
    scan = NoiseFreeScan(seed, Diagnosis(diagnosis), hu, labels, (0.45, 0.45), np.full(8, 5.0), population="realistic")
    scan.save(folder / f"{diagnosis}-{seed}")


@pytest.fixture
def heads(tmp_path: Path) -> list[Head]:
    keep_head(tmp_path, 0)
    keep_head(tmp_path, 1, dense_hu=140)
    keep_head(tmp_path, 2, "iph")
    return find_heads(tmp_path)


def by_seed(heads: list[Head], seed: int) -> Head:
    return next(head for head in heads if head.seed == seed)


def test_a_false_alarm_is_the_middle_of_what_the_detector_is_sure_of(heads: list[Head]) -> None:
    ((z, y, x),) = false_alarms(detect, by_seed(heads, 0))
    assert z == SLICE
    assert (y, x) == (pytest.approx(320, abs=3), pytest.approx(140, abs=3))
    assert false_alarms(detect, by_seed(heads, 1)) == []


def test_what_is_found_in_a_head_with_blood_is_never_taught_as_a_false_alarm(heads: list[Head], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has blood"):
        false_alarms(detect, by_seed(heads, 2))
    alarms = FalseAlarms(tmp_path)
    assert alarms.read_next(detect, heads, 9, lambda: False) == 1
    assert not len(alarms.of(by_seed(heads, 2)))


def test_the_head_that_was_read_longest_ago_is_next_and_a_restart_knows(heads: list[Head], tmp_path: Path) -> None:
    alarms = FalseAlarms(tmp_path)
    assert [alarms.read_next(detect, heads, 1, lambda: False) for _ in range(3)] == [1, 0, 1]
    again = FalseAlarms(tmp_path)
    np.testing.assert_array_equal(again.of(by_seed(heads, 0)), alarms.of(by_seed(heads, 0)))
    assert again.read_next(detect, heads, 1, lambda: False) == 0
    assert FalseAlarms(tmp_path).read_next(detect, heads, 1, lambda: True) == 0


def test_a_head_that_was_given_up_is_forgotten_and_one_that_is_clean_now_no_longer_taught(
    heads: list[Head], tmp_path: Path
) -> None:
    alarms = FalseAlarms(tmp_path)
    alarms.read_next(detect, heads, 9, lambda: False)
    silent = dict(detect(np.zeros((20, 512, 512))))
    alarms.read_next(lambda hu: silent, heads, 9, lambda: False)
    assert not len(alarms.of(by_seed(heads, 0)))
    alarms.read_next(detect, heads, 9, lambda: False)
    alarms.read_next(detect, [by_seed(heads, 1)], 1, lambda: False)
    assert not len(FalseAlarms(tmp_path).of(by_seed(heads, 0)))


def test_batches_come_back_to_false_alarms_half_of_the_time(heads: list[Head], tmp_path: Path) -> None:
    negative = [by_seed(heads, 0), by_seed(heads, 1)]
    shape = Shape(slabs=2, targets=1, size=64)

    def count_shown(alarms: FalseAlarms | None) -> int:
        """Count the crops off the bleed that show what was found; a crop of 64 px seldom does by chance."""
        crops = [batch(negative, shape, np.random.default_rng([1, i]), alarms).slices for i in range(40)]
        middle = [slices.reshape(5, 2, 64, 64)[2, 1] for slices in crops]
        return sum(bool((crop > 160).any()) for crop in middle)

    alarms = FalseAlarms(tmp_path)
    alarms.read_next(detect, negative, 9, lambda: False)
    assert count_shown(alarms) > 12 > 8 > count_shown(None)


def test_of_two_heads_one_is_read_again_in_which_something_was_found(heads: list[Head], tmp_path: Path) -> None:
    keep_head(tmp_path, 3, dense_hu=140)
    keep_head(tmp_path, 4, dense_hu=140)
    there = find_heads(tmp_path)
    alarms = FalseAlarms(tmp_path)
    assert alarms.read_next(detect, there, 1, lambda: False) == 1  # head 0, the only one with a false alarm
    counts = [alarms.read_next(detect, there, 2, lambda: False) for _ in range(3)]
    assert counts == [1, 1, 1]
    assert alarms.count_read(there) == 4
    assert alarms.read_next(detect, [by_seed(there, 0)], 2, lambda: False) == 1  # one head is not read twice


def test_a_head_that_is_dropped_while_others_are_read_is_passed_over(heads: list[Head], tmp_path: Path) -> None:
    for path in tmp_path.glob("none-0.*"):
        path.unlink()
    alarms = FalseAlarms(tmp_path)
    assert alarms.read_next(detect, heads, 9, lambda: False) == 0
    assert alarms.count_read(heads) == 1
