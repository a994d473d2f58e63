# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from appliance.reading.anchors import anchor_boxes
from appliance.reading.boxes import overlaps
from simulator.diagnosis import Diagnosis
from simulator.noise_free import NoiseFreeScan
from training.assignment import SAMPLED, anchor_targets
from training.batches import Shape, batch, chance
from training.heads import Head, find_heads
from training.instances import MAX_PIECES


@pytest.mark.parametrize(
    "box",
    [[100, 100, 103, 103], [60, 100, 188, 112], [10, 10, 120, 120], [250, 250, 256, 256], [0, 0, 128, 128]],
)
def test_every_piece_has_an_anchor_that_learns_it(box: list[float]) -> None:
    boxes = np.array([box], np.float32)
    anchors = anchor_boxes(256)
    labels, targets = anchor_targets(anchors, boxes, np.random.default_rng(0))
    assert (labels == 1).any()
    np.testing.assert_array_equal(targets[labels == 1], np.repeat(boxes, (labels == 1).sum(), axis=0))
    best = overlaps(anchors, boxes).max()
    assert overlaps(anchors[labels == 1], boxes).max() == pytest.approx(best, abs=1e-4)


def test_at_most_a_quarter_of_the_sampled_anchors_is_positive() -> None:
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 180, (20, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(8, 70, (20, 2))], axis=1).astype(np.float32)
    labels, _ = anchor_targets(anchor_boxes(256), boxes, rng)
    assert (labels == 1).sum() == SAMPLED // 4
    assert (labels == 0).sum() == SAMPLED - SAMPLED // 4


def test_a_slice_without_blood_has_only_negative_anchors() -> None:
    labels, _ = anchor_targets(anchor_boxes(256), np.zeros((0, 4), np.float32), np.random.default_rng(0))
    assert (labels == 1).sum() == 0
    assert (labels == 0).sum() == SAMPLED


def keep_head(folder: Path, diagnosis: str, seed: int, hu: np.ndarray, labels: np.ndarray) -> None:
    planes = len(hu)
    scan = NoiseFreeScan(
        seed,
        Diagnosis(diagnosis),
        hu.astype(np.int16),
        labels,
        (0.45, 0.45),
        np.full(planes, 5.0),
        population="realistic",
    )
    scan.save(folder / f"{diagnosis}-{seed}")


@pytest.fixture
def heads(tmp_path: Path) -> list[Head]:
    for seed, diagnosis in enumerate(("none", "iph", "sah")):
        hu = np.full((10, 512, 512), 30.0)
        labels = np.zeros(hu.shape, np.uint8)
        if seed:
            labels[4:7, 200:260, 240:300] = {"iph": 1, "sah": 3}[diagnosis]
            hu[labels > 0] += 40
        keep_head(tmp_path, diagnosis, seed, hu, labels)
    return find_heads(tmp_path)


def test_a_batch_has_its_shapes_and_its_pieces_lie_on_blood(heads: list[Head]) -> None:
    shape = Shape(slabs=2, targets=3, size=128)
    made = batch(heads, shape, np.random.default_rng(3))
    assert made.slices.shape == (14, 128, 128, 1)
    assert made.labels.shape == (6, 128, 128)
    assert made.boxes.shape == (6, MAX_PIECES, 4)
    assert made.slices.dtype == np.int16
    assert 20 < np.median(made.slices) < 50  # HU of tissue
    # Depth-major: slab 0, which is about blood, has the even places.
    assert (made.kinds[0::2] > 0).any()
    for labels, boxes, kinds in zip(made.labels, made.boxes, made.kinds, strict=True):
        assert set(kinds[kinds > 0]) == set(np.unique(labels)) - {0}
        for (y1, x1, y2, x2), kind in zip(boxes[kinds > 0], kinds[kinds > 0], strict=True):
            inside = labels[max(0, int(y1)) : int(np.ceil(y2)), max(0, int(x1)) : int(np.ceil(x2))]
            assert (inside == kind).any()


def test_mimics_are_dense_tissue_inside_the_skull_that_is_no_blood(tmp_path: Path) -> None:
    y, x = np.meshgrid(np.arange(512), np.arange(512), indexing="ij")
    radius = np.hypot(y - 256, x - 256)
    hu = np.full((1, 512, 512), -1000)
    hu[0, radius < 220] = 60  # scalp, as dense as blood but outside
    hu[0, radius < 200] = 900
    hu[0, radius < 180] = 35
    hu[0, 200:220, 150:170] = 65  # blood
    hu[0, 300:320, 250:270] = 300  # calcification
    labels = np.zeros(hu.shape, np.uint8)
    labels[0, 200:220, 150:170] = 1
    keep_head(tmp_path, "iph", 1, hu, labels)
    (head,) = find_heads(tmp_path)
    assert len(head.mimics) > 0
    assert (np.abs(head.mimics[:, 1] - 310) <= 16).all()
    assert (np.abs(head.mimics[:, 2] - 260) <= 16).all()
    assert all(labels[0, y, x] for _, y, x in head.blood)


def test_context_slices_lie_about_the_targets(heads: list[Head]) -> None:
    made = batch(heads, Shape(slabs=1, targets=3, size=128), np.random.default_rng(1))
    bright = (made.slices[..., 0] > 52).mean(axis=(1, 2)) > 0.02
    blood = (made.labels > 0).mean(axis=(1, 2)) > 0.03
    assert blood.any()
    assert bright[2:-2][blood].all()


def test_the_same_step_of_a_run_draws_the_same_batch(heads: list[Head]) -> None:
    shape = Shape(slabs=2, targets=2, size=64)
    first, second = (batch(heads, shape, np.random.default_rng([7, 41])) for _ in range(2))
    for name, value in vars(first).items():
        np.testing.assert_array_equal(value, getattr(second, name))


def test_each_crop_of_a_head_is_seen_by_another_scanner(heads: list[Head]) -> None:
    none = [head for head in heads if head.diagnosis == "none"]
    made = batch(none, Shape(slabs=4, targets=1, size=128), np.random.default_rng(1))
    middle = made.slices.reshape(5, 4, 128, 128)[2, :, 40:88, 40:88]
    assert len({round(float(crop.std()), 4) for crop in middle}) == 4
    assert middle.std(axis=(1, 2)).min() > 0.4


def test_a_stored_head_is_seen_by_its_own_scanner_the_same_way_every_time(heads: list[Head]) -> None:
    first, again = (Head(head.folder, head.diagnosis, head.seed).own_scan() for head in heads[:1] * 2)
    assert first[0].shape == (10, 512, 512)
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])


def test_small_bleeds_and_subarachnoid_blood_are_drawn_more_often(tmp_path: Path) -> None:
    side = {"iph": 150, "sah": 150, "edh_sdh": 60}  # 0.45 x 0.45 x 5 mm voxels on three slices: 68, 68 and 11 mL
    for seed, (diagnosis, label) in enumerate((("iph", 1), ("sah", 3), ("edh_sdh", 2))):
        hu = np.full((5, 512, 512), 30.0)
        labels = np.zeros(hu.shape, np.uint8)
        labels[1:4, 200 : 200 + side[diagnosis], 200 : 200 + side[diagnosis]] = label
        keep_head(tmp_path, diagnosis, seed, hu, labels)
    labels[labels > 0] = 0
    labels[2, 200:220, 200:220] = 3
    keep_head(tmp_path, "sah", 9, hu, labels)
    by_name = {head.name: head for head in find_heads(tmp_path)}
    assert by_name["iph-0"].blood_ml == pytest.approx(3 * 150 * 150 * 0.45 * 0.45 * 5 / 1000)
    assert {name: chance(head) for name, head in by_name.items()} == {
        "iph-0": 1.0, "sah-1": 2.0, "edh_sdh-2": 1.5, "sah-9": 4.0,
    }  # fmt: skip
