# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A mirrored batch has the targets that its mirrored slices would be given."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.reading.anchors import anchor_boxes
from training.assignment import anchor_targets
from training.batches import Batch
from training.burst.mirror import mirror, mirrored_anchors
from training.instances import pieces

SIZE = 128


def drawn() -> Batch:
    """Return a batch of one target slice with two bleeds and a mimic."""
    labels = np.zeros((1, SIZE, SIZE), np.uint8)
    labels[0, 20:50, 10:30], labels[0, 70:75, 90:127] = 1, 3
    boxes, kinds = pieces(labels[0])
    mimic_boxes = np.array([[5, 100, 25, 120], [0, 0, 0, 0]], np.float32)
    asked, moved = anchor_targets(anchor_boxes(SIZE), boxes, np.random.default_rng(1))
    slices = np.random.default_rng(2).integers(-1000, 1000, (5, SIZE, SIZE, 1)).astype(np.int16)
    arrays = (boxes, kinds, asked, moved, mimic_boxes, np.array([6, 0], np.int32))
    return Batch(slices, labels, *(array[None] for array in arrays))


def test_boxes_and_anchors_lie_where_the_mirrored_labels_have_them() -> None:
    before, after = drawn(), mirror(drawn())
    np.testing.assert_array_equal(after.slices[..., ::-1, :], before.slices)
    boxes, kinds = pieces(np.ascontiguousarray(after.labels[0]))
    order = np.lexsort((boxes[:, 1], kinds)), np.lexsort((after.boxes[0][:, 1], after.kinds[0]))
    np.testing.assert_array_equal(after.boxes[0][order[1]], boxes[order[0]])
    np.testing.assert_array_equal(after.mimic_boxes[0], [[5, 8, 25, 28], [0, 0, 0, 0]])
    np.testing.assert_array_equal(after.mimic_kinds, before.mimic_kinds)
    anchors = anchor_boxes(SIZE)
    positive = after.anchor_labels[0] == 1
    assert positive.sum() == (before.anchor_labels == 1).sum() > 2
    for anchor, target in zip(anchors[positive], after.anchor_boxes[0][positive], strict=True):
        assert any(np.array_equal(target, box) for box in boxes)
        y1, x1, y2, x2 = np.concatenate([np.maximum(anchor[:2], target[:2]), np.minimum(anchor[2:], target[2:])])
        assert y2 > y1
        assert x2 > x1
    assert not after.anchor_boxes[0][~positive].any()


def test_each_anchor_has_a_mirror_image() -> None:
    anchors = anchor_boxes(SIZE)
    there = anchors[mirrored_anchors(SIZE)]
    np.testing.assert_allclose(there, anchors[:, [0, 3, 2, 1]] * [1, -1, 1, -1] + [0, SIZE, 0, SIZE], atol=1e-4)


@pytest.mark.parametrize("name", list(vars(drawn())))
def test_a_batch_mirrored_twice_is_the_batch(name: str) -> None:
    np.testing.assert_allclose(getattr(mirror(mirror(drawn())), name), getattr(drawn(), name), atol=1e-4)
