# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The dense head: blood by type at every cell of the finest feature map, learnt beside the network and not exported.

The network's own losses reach the features only at sampled boxes: 16 slices of crops have some dozens of them. This
head uses every cell, so that small and thin blood teaches the features at each step. It has one convolution, so what it
learns has to be in the features. The network is still the paper's: the detector does not know this head, and weights
are stored without it.

Its loss is cross-entropy with the soft Dice of each type over the whole batch, as nnU-Net has it (Isensee et al.,
Nature Methods 2021).
"""

from __future__ import annotations

from typing import Final

import keras
from keras import ops

from appliance.reading.contract import TYPES
from training.network.tensors import Tensor
from training.network.variants import Variant

STRIDE: Final = 4
"""Pixels of a slice that a cell of the finest feature map is wide."""
KINDS: Final = len(TYPES) + 1
"""No blood, then the types in the contract's order."""


class DenseHead(keras.layers.Layer):  # type: ignore[misc]
    """Logits [S, H/4, W/4, 4] of no blood and of the three types, from the finest map of the pyramid."""

    def __init__(self, variant: Variant, name: str = "dense_head"):
        super().__init__(name=name)
        self.channels = variant.pyramid
        self.convolution = keras.layers.Conv2D(
            KINDS, 1, kernel_initializer=keras.initializers.RandomNormal(stddev=0.01), name="logits"
        )

    def build(self, _shape: tuple[int | None, ...] | None = None) -> None:
        """Create the weights."""
        self.convolution.build((None, None, None, self.channels))
        self.built = True

    def call(self, finest: Tensor) -> Tensor:
        """Return the logits for the finest map [S, H/4, W/4, C]."""
        return self.convolution(finest)


def dense_term(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the loss, a scalar, of logits [S, H/4, W/4, 4] against labels [S, H, W]: 0 or the label of a type.

    The truth of a cell is the share of its pixels that each kind has. The Dice of a type counts where the batch
    holds some of it.
    """
    shares = ops.average_pool(ops.one_hot(ops.cast(labels, "int32"), KINDS), STRIDE, STRIDE, "valid")
    entropy = ops.mean(ops.categorical_crossentropy(shares, logits, from_logits=True))
    guess, truth = ops.softmax(logits)[..., 1:], shares[..., 1:]
    there = ops.sum(truth, axis=[0, 1, 2])
    shared = 2.0 * ops.sum(guess * truth, axis=[0, 1, 2])
    dice = (shared + 1.0) / (there + ops.sum(guess, axis=[0, 1, 2]) + 1.0)
    counts = ops.cast(there > 0, "float32")
    return entropy + ops.sum((1.0 - dice) * counts) / ops.maximum(ops.sum(counts), 1.0)
