# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The region-proposal network (Figure 1A, B): which anchors may hold blood, and the best boxes of each slice.

"The top 256 proposals by the region-proposal network are pruned using nonmaximum suppression" (paper,
"Implementation"): 256 first, then the suppression. Of the survivors the best `PROPOSALS_KEPT` a slice go on to
the classifier: a static graph needs a fixed count, and classifying all 256 would cost a CPU more than the backbone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import keras
from keras import ops

from appliance.reading.anchors import PER_CELL, level_anchors
from appliance.reading.contract import ANCHOR_SIZES_PX, PROPOSAL_OVERLAP, PROPOSALS_KEPT, PROPOSALS_PER_SLICE
from training.network.boxes import decode, rows
from training.network.nms import keep_best
from training.network.tensors import Tensor, take
from training.network.variants import Variant

SUPPRESSED_LOGIT: Final = -1e4


@dataclass(frozen=True)
class Proposals:
    """The proposals of S slices, by falling objectness.

    Attributes
    ----------
    boxes
        [S, K, 4] pixels.
    logits
        [S, K] objectness; `SUPPRESSED_LOGIT` marks an entry that only fills the count.
    """

    boxes: Tensor
    logits: Tensor

    @property
    def valid(self) -> Tensor:
        """[S, K] 1.0 where the entry is a proposal."""
        return ops.cast(self.logits > 0.5 * SUPPRESSED_LOGIT, "float32")


class RegionProposalNetwork(keras.layers.Layer):  # type: ignore[misc]
    """A 3 x 3 convolution shared by all levels, then objectness and box offsets of the three anchors of each cell."""

    def __init__(self, variant: Variant, name: str | None = None):
        super().__init__(name=name)
        self.channels = variant.pyramid
        self.shared = keras.layers.Conv2D(
            variant.pyramid,
            3,
            padding="same",
            activation="relu",
            kernel_initializer="he_normal",
            name="shared",
        )
        # Almost every anchor is empty: start there, or the first steps only learn that.
        self.objectness = keras.layers.Conv2D(
            PER_CELL,
            1,
            bias_initializer=keras.initializers.Constant(-2.0),
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
            name="objectness",
        )
        self.offsets = keras.layers.Conv2D(
            4 * PER_CELL, 1, kernel_initializer=keras.initializers.RandomNormal(stddev=0.01), name="offsets"
        )

    def build(self, _shape: tuple[int | None, ...] | None = None) -> None:
        """Build for maps of the variant's pyramid width."""
        for layer in (self.shared, self.objectness, self.offsets):
            layer.build((None, None, None, self.channels))

    def call(self, pyramid: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Return objectness logits [S, A_l] and box offsets [S, A_l, 4] of each level, in the anchors' order."""
        logits, offsets = [], []
        for level in pyramid:
            x = self.shared(level)
            slices, anchors = x.shape[0], x.shape[1] * x.shape[2] * PER_CELL
            logits.append(ops.reshape(self.objectness(x), [slices, anchors]))
            offsets.append(ops.reshape(self.offsets(x), [slices, anchors, 4]))
        return logits, offsets


def proposals(logits: list[Tensor], offsets: list[Tensor], matrix: int) -> Proposals:
    """Return the best proposals of each slice of a `matrix` x `matrix` grid, after suppression.

    The best of each level are drawn first (the best 256 of all levels are among the best 256 of each), so that
    only those are decoded and no sort runs over all anchors of a slice at once.
    """
    boxes, scores = [], []
    for level in range(len(ANCHOR_SIZES_PX)):
        anchors = level_anchors(matrix, level)
        count = min(PROPOSALS_PER_SLICE, anchors.shape[0])
        score, index = ops.top_k(ops.cast(logits[level], "float32"), count)
        boxes.append(decode(rows(offsets[level], index), take(anchors, index), matrix))
        scores.append(score)
    score, index = ops.top_k(ops.concatenate(scores, axis=1), PROPOSALS_PER_SLICE)
    best = rows(ops.concatenate(boxes, axis=1), index)
    keep = keep_best(best, PROPOSAL_OVERLAP)
    score, index = ops.top_k(keep * score + (1.0 - keep) * SUPPRESSED_LOGIT, PROPOSALS_KEPT)
    return Proposals(rows(best, index), score)
