# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The widths a detector is built with, by name: `full` is the paper's, `edge` is ours for machines without a GPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Variant:
    """How wide one variant of the network is; depth, strides and anchors are the same in all of them.

    Attributes
    ----------
    stem
        Channels of the first convolution, at half the input's resolution.
    stages
        Channels of the four stages of the contracting arm, at strides 4, 8, 16 and 32.
    pyramid
        Channels of every map of the feature pyramid (the paper's 128).
    classifier
        Units of the classifier head's hidden layer.
    mask
        Channels of the mask head's convolutions.
    """

    name: str
    stem: int
    stages: tuple[int, int, int, int]
    pyramid: int
    classifier: int
    mask: int


VARIANTS: Final = {
    variant.name: variant
    for variant in (
        Variant("full", stem=32, stages=(64, 128, 256, 512), pyramid=128, classifier=256, mask=64),
        Variant("edge", stem=16, stages=(32, 64, 128, 256), pyramid=64, classifier=128, mask=32),
    )
}
