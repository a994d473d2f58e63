# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np

from appliance.reading.anchors import anchor_boxes
from training.assignment import SAMPLED, anchor_targets
from training.instances import MAX_PIECES


def learners(boxes: np.ndarray, seed: int = 0) -> list[int]:
    """How many sampled anchors learn each box."""
    labels, moved = anchor_targets(anchor_boxes(512), boxes, np.random.default_rng(seed))
    return [int(((labels == 1) & (moved == box).all(axis=1)).sum()) for box in boxes]


def test_neighbours_whom_the_same_anchor_suits_best_have_an_anchor_each() -> None:
    boxes = np.array([[201, 200, 209, 208], [202, 201, 210, 209], [200, 200, 208, 208]], np.float32)
    assert min(learners(boxes)) >= 1


def test_a_piece_that_lies_in_a_larger_one_keeps_its_anchor() -> None:
    boxes = np.array([[100, 100, 220, 220], [150, 150, 158, 158], [140, 100, 148, 220]], np.float32)
    assert min(learners(boxes)) >= 1


def test_sampling_leaves_every_piece_of_a_crowded_slice_an_anchor() -> None:
    rng = np.random.default_rng(5)
    corner = rng.uniform(150, 300, (MAX_PIECES, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(8, 90, (MAX_PIECES, 2))], axis=1).astype(np.float32)
    for seed in range(5):
        counts = learners(boxes, seed)
        assert min(counts) >= 1
        assert sum(counts) == SAMPLED // 4
