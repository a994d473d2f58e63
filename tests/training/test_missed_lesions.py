# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Missed lesions of whole heads: which count as missed, and that batches come back to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from appliance.reading.contract import CHUNK_SLICES, CONTEXT_SLICES, MASK_SIZE, MAX_DETECTIONS
from appliance.reading.detections import Outputs
from simulator.diagnosis import Diagnosis
from simulator.noise_free import NoiseFreeScan
from training.batches import ENOUGH_READ, Shape, batch
from training.heads import Head, find_heads
from training.missed_lesions import MOST_A_HEAD, MissedLesions, missed_lesions

DENSE, FAINT = 130, 75
LARGE = (slice(2, 6), slice(300, 360), slice(120, 180))
SMALL = (slice(9, 10), slice(120, 130), slice(300, 310))
TALL = (slice(0, 14), slice(200, 210), slice(380, 390))


def detector(score: float, kind: int = 0):  # type: ignore[no-untyped-def]
    """Return a detector that takes the plainly dense of each slice for a type of hemorrhage, with a score."""

    def detect(hu: np.ndarray) -> Outputs:
        number, box = np.zeros(MAX_DETECTIONS, np.int32), np.zeros((MAX_DETECTIONS, 4), np.float32)
        scores = np.zeros((MAX_DETECTIONS, 3), np.float32)
        count = 0
        for target in range(CHUNK_SLICES):
            rows, columns = np.nonzero(hu[target + CONTEXT_SLICES] > 105)
            if rows.size > 400:
                number[count] = target
                box[count] = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
                scores[count, kind] = score
                count += 1
        return {
            "detection_count": np.array([count], np.int32),
            "detection_slice": number,
            "detection_box": box,
            "detection_score": scores,
            "detection_mask": np.ones((MAX_DETECTIONS, MASK_SIZE, MASK_SIZE), np.float32),
        }

    return detect


def keep_head(folder: Path, seed: int, *lesions: tuple[tuple[slice, ...], int]) -> Head:
    hu = np.full((14, 512, 512), 30, np.int16)
    labels = np.zeros(hu.shape, np.uint8)
    for place, hu_there in lesions:
        hu[place], labels[place] = hu_there, 1
    diagnosis = "iph" if lesions else "none"
    scan = NoiseFreeScan(seed, Diagnosis(diagnosis), hu, labels, (0.45, 0.45), np.full(14, 5.0), population="realistic")
    scan.save(folder / f"{diagnosis}-{seed}")
    return Head(folder, diagnosis, seed)


def kept_in(folder: Path) -> MissedLesions:
    """Return what is kept in a folder two levels below the heads, where no search for heads comes."""
    folder.mkdir(parents=True)
    return MissedLesions(folder)


def test_a_lesion_is_missed_that_no_sure_detection_touches_whatever_type_it_says(tmp_path: Path) -> None:
    head = keep_head(tmp_path, 0, (LARGE, DENSE), (SMALL, FAINT))
    for kind in (0, 2):
        ((z, y, x),) = missed_lesions(detector(0.95, kind), head)
        assert z == 9
        assert abs(y - 124.5) <= 1
        assert abs(x - 304.5) <= 1
    assert sorted(place[0] // 6 for place in missed_lesions(detector(0.8), head)) == [0, 1]  # both: it is not sure


def test_a_tall_lesion_has_a_place_in_each_part_that_a_crop_shows(tmp_path: Path) -> None:
    head = keep_head(tmp_path, 0, (TALL, FAINT))
    assert [z // 6 for z, _, _ in missed_lesions(detector(0.95), head)] == [0, 1, 2]


def test_of_many_missed_lesions_of_a_head_the_largest_are_kept(tmp_path: Path) -> None:
    specks = [
        ((slice(4, 5), slice(60 + 40 * i, 68 + 40 * i), slice(60 + 80 * k, 68 + 80 * k)), FAINT)
        for i in range(8) for k in range(4)
    ]  # fmt: skip
    missed = missed_lesions(detector(0.95), keep_head(tmp_path, 0, (SMALL, FAINT), *specks))
    assert len(missed) == MOST_A_HEAD
    assert missed[0][0] == 9


def test_blood_that_cannot_be_seen_is_not_taught_as_missed(tmp_path: Path) -> None:
    speck = (slice(4, 5), slice(300, 304), slice(300, 304))  # 0.016 mL, as dense as can be
    faint = (slice(9, 10), slice(150, 190), slice(150, 190))  # 1.6 mL, hardly denser than the brain
    assert not missed_lesions(detector(0.95), keep_head(tmp_path, 0, (speck, 90), (faint, 34)))
    assert len(missed_lesions(detector(0.95), keep_head(tmp_path, 1, (speck, 90), (faint, 45)))) == 1


def test_heads_without_blood_have_no_missed_lesions_and_what_is_found_later_is_taught_no_longer(tmp_path: Path) -> None:
    keep_head(tmp_path, 0)
    head = keep_head(tmp_path, 1, (LARGE, DENSE))
    missed = kept_in(tmp_path / "of a" / "run")
    assert missed.read_next(detector(0.3), find_heads(tmp_path), 9, lambda: False) == 1
    assert missed.count_read(find_heads(tmp_path)) == 1
    np.testing.assert_array_equal(MissedLesions(tmp_path / "of a" / "run").of(head), missed.of(head))
    assert missed.read_next(detector(0.95), find_heads(tmp_path), 9, lambda: False) == 0
    assert not len(missed.of(head))


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Head], MissedLesions]:
    """Many heads with a found bleed, of which one has a small missed one besides, and what is known of them."""
    folder = tmp_path_factory.mktemp("heads")
    keep_head(folder, 0, (LARGE, DENSE), (SMALL, FAINT))
    for seed in range(1, ENOUGH_READ):
        keep_head(folder, seed, (LARGE, DENSE))
    heads = find_heads(folder)
    missed = kept_in(folder / "of a" / "run")
    missed.read_next(detector(0.95), heads, len(heads), lambda: False)
    return heads, missed


def count_small(heads: list[Head], missed: MissedLesions | None) -> int:
    """Return in how many of 40 crops the small bleed is labelled."""
    drawn = (batch(heads, Shape(1, 2, 64), np.random.default_rng([1, i]), None, missed) for i in range(40))
    return sum(bool(0 < np.count_nonzero(one.labels) < 300) for one in drawn)


def test_half_of_the_crops_about_blood_come_back_to_missed_lesions(
    shown: tuple[list[Head], MissedLesions],
) -> None:
    heads, missed = shown
    assert count_small(heads, missed) > 10
    assert count_small(heads, missed) > 4 * count_small(heads, None)


def test_the_first_missed_lesions_are_not_shown_over_and_over(
    shown: tuple[list[Head], MissedLesions], tmp_path: Path
) -> None:
    heads, many = shown
    few = kept_in(tmp_path / "of a" / "few")
    few.read_next(detector(0.95), heads[:1], 1, lambda: False)
    np.testing.assert_array_equal(few.of(heads[0]), many.of(heads[0]))
    assert count_small(heads, few) < count_small(heads, many) / 2
