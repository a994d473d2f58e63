# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The detector: from a chunk of HU slices to detections, in the order of the paper's Figures 1 and 2.

`Detector.call` is the whole inference graph and its table of contents. It fulfils `appliance.reading.contract`: static
shapes, fixed counts with a count beside them, and nothing in it that a runtime without loops or dynamic shapes
could not run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import keras
from keras import ops

from appliance.reading.contract import CLIP_HU, MATRIX, SCALED_RANGE
from training.network.backbone import Backbone
from training.network.boxes import decode
from training.network.classes import SUMMED
from training.network.detections import Judged, detections, dismissed_outputs, slice_numbers
from training.network.feature_pyramid import FeaturePyramid
from training.network.heads import CLASSIFIER_GRID, MASK_GRID, ClassifierHead, MaskHead
from training.network.older_weights import with_all_classes
from training.network.roi_align import align
from training.network.rpn import Proposals, RegionProposalNetwork, proposals
from training.network.tensors import Tensor
from training.network.variants import Variant

# Masks are read at stride 4 whatever the box: 28 cells of a 112 px box are 4 px each.
MASK_LEVELS: Final = 1


def scale(hu: Tensor) -> Tensor:
    """Return HU as `contract.scale_hu` does, inside the graph: NaN is 0 HU, then clipped to +-240 HU, then [-3, 3]."""
    hu = ops.where(ops.isnan(hu), 0.0, hu)  # a scalar: zeros_like would stand in the exported graph as 21 MB
    return ops.clip(hu, -CLIP_HU, CLIP_HU) * (SCALED_RANGE / CLIP_HU)


@dataclass(frozen=True)
class Passage:
    """What the network makes of S slices, from the pyramid to the classifier.

    Attributes
    ----------
    pyramid
        Feature maps, finest first.
    anchor_logits, anchor_offsets
        [S, A] and [S, A, 4]: what the region-proposal network says of every anchor.
    candidates
        Its proposals.
    boxes, class_logits, box_offsets
        [S, R, 4], [S, R, 8] (see `classes`) and [S, R, 4]: the boxes that the classifier looked at, and what it says of
        them.
    """

    pyramid: list[Tensor]
    anchor_logits: Tensor
    anchor_offsets: Tensor
    candidates: Proposals
    boxes: Tensor
    class_logits: Tensor
    box_offsets: Tensor

    def judge(self) -> Judged:
        """Return what the classifier makes of the proposals, where it looked at all of them.

        The named parts of "no hemorrhage" are summed into it by counting for the types' scores alone.
        """
        boxes = decode(self.box_offsets, self.boxes, MATRIX)
        scores = ops.softmax(ops.cast(self.class_logits, "float32"), axis=-1)[..., 1:SUMMED]
        return Judged(boxes, scores, ops.max(scores, axis=-1) * self.candidates.valid)


class Detector(keras.Model):  # type: ignore[misc]
    """Chang et al.'s hybrid 3D/2D mask R-CNN over a chunk of slices."""

    def __init__(self, variant: Variant, name: str = "detector"):
        super().__init__(name=name)
        self.variant = variant
        self.backbone = Backbone(variant, name="backbone")
        self.feature_pyramid = FeaturePyramid(variant, name="feature_pyramid")
        self.rpn = RegionProposalNetwork(variant, name="rpn")
        self.classifier = ClassifierHead(variant, name="classifier")
        self.mask_head = MaskHead(variant, name="mask_head")

    def build(self, _shape: tuple[int | None, ...] | None = None) -> None:
        """Create all weights."""
        self.backbone.build((None, None, None, 1))
        for layer in (self.feature_pyramid, self.rpn, self.classifier, self.mask_head):
            layer.build()

    def load_weights(self, filepath: str | Path, **options: Any) -> None:
        """Load a weights file (.weights.h5), which may know no named part of "no hemorrhage"."""
        with with_all_classes(Path(filepath)) as path:
            super().load_weights(path, **options)

    def call(self, hu: Tensor) -> dict[str, Tensor]:
        """Return the contract's outputs for a chunk `hu` [targets + 4, 512, 512]."""
        seen = self.passage(scale(hu)[..., None], lambda candidates: candidates.boxes)
        judged = seen.judge()
        found = detections(judged, lambda boxes, slices: self.masks(seen.pyramid, boxes, slices))
        return found | dismissed_outputs(judged, seen.candidates)

    def passage(
        self, slices: Tensor, choose: Callable[[Proposals], Tensor], slabs: int = 1, training: bool = False
    ) -> Passage:
        """Return all that lies between scaled slices [(targets + 4) * slabs, H, W, 1] and the detections.

        The one way through the network, for reading as for training: `choose(candidates)` says which boxes [S, R, 4]
        the classifier looks at. `training` is whether batch normalisation uses (and learns) the batch's statistics.
        """
        pyramid = self.pyramid(slices, slabs=slabs, training=training)
        logits, offsets = self.rpn(pyramid)
        candidates = proposals(logits, offsets, slices.shape[1])
        boxes = choose(candidates)
        count, each = boxes.shape[:2]
        class_logits, box_offsets = self.classify(
            pyramid, ops.reshape(boxes, [count * each, 4]), slice_numbers(count, each)
        )
        return Passage(
            pyramid,
            ops.concatenate(logits, axis=1),
            ops.concatenate(offsets, axis=1),
            candidates,
            boxes,
            ops.reshape(class_logits, [count, each, class_logits.shape[-1]]),
            ops.reshape(box_offsets, [count, each, 4]),
        )

    def pyramid(self, slices: Tensor, slabs: int = 1, training: bool = False) -> list[Tensor]:
        """Return the feature pyramid of scaled slices [(targets + 4) * slabs, H, W, 1], depth-major."""
        maps = self.backbone(slices, slabs=slabs, training=training)
        return list(self.feature_pyramid(maps, slabs=slabs))

    def classify(self, pyramid: list[Tensor], boxes: Tensor, slices: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits [K, 8] of all classes and box offsets [K, 4] for `boxes` [K, 4] on `slices` [K]."""
        logits, offsets = self.classifier(align(pyramid, boxes, slices, CLASSIFIER_GRID))
        return logits, offsets

    def masks(self, pyramid: list[Tensor], boxes: Tensor, slices: Tensor) -> Tensor:
        """Return mask logits [K, 56, 56, 3] of the three types for `boxes` [K, 4] on `slices` [K]."""
        return self.mask_head(align(pyramid[:MASK_LEVELS], boxes, slices, MASK_GRID))
