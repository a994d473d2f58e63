# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The two heads (Figure 1C, D): what a proposal is, and where in it the blood lies."""

from __future__ import annotations

from typing import Final

import keras
from keras import ops

from appliance.reading.contract import MASK_SIZE, TYPES
from training.network.classes import CLASSES
from training.network.tensors import Tensor
from training.network.variants import Variant

CLASSIFIER_GRID: Final = 7
MASK_GRID: Final = MASK_SIZE // 2


class ClassifierHead(keras.layers.Layer):  # type: ignore[misc]
    """Class logits and a refinement of the box, from features on a 7 x 7 grid."""

    def __init__(self, variant: Variant, name: str | None = None):
        super().__init__(name=name)
        self.features = CLASSIFIER_GRID**2 * variant.pyramid
        self.hidden = keras.layers.Dense(
            variant.classifier, activation="relu", kernel_initializer="he_normal", name="hidden"
        )
        self.logits = keras.layers.Dense(
            CLASSES, kernel_initializer=keras.initializers.RandomNormal(stddev=0.01), name="logits"
        )
        self.offsets = keras.layers.Dense(
            4, kernel_initializer=keras.initializers.RandomNormal(stddev=0.001), name="offsets"
        )

    def build(self, _shape: tuple[int | None, ...] | None = None) -> None:
        """Build for the variant's pyramid width."""
        self.hidden.build((None, self.features))
        for layer in (self.logits, self.offsets):
            layer.build((None, self.hidden.units))

    def call(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits [K, 8] of all classes and box offsets [K, 4] of features [K, 7, 7, C]."""
        x = self.hidden(ops.reshape(features, [-1, self.features]))
        return self.logits(x), self.offsets(x)


class MaskHead(keras.layers.Layer):  # type: ignore[misc]
    """Mask logits of the three types on a 56 x 56 grid, from features on a 28 x 28 grid.

    56, not the usual 28: a subdural crescent 5 px thick would be capped at a Dice of 0.45 by a 28 x 28 grid.
    """

    def __init__(self, variant: Variant, name: str | None = None):
        super().__init__(name=name)
        self.channels = variant.pyramid
        self.width = variant.mask
        self.convolutions = [
            keras.layers.Conv2D(
                variant.mask,
                3,
                padding="same",
                activation="relu",
                kernel_initializer="he_normal",
                name=f"convolution{i}",
            )
            for i in range(2)
        ]
        self.upsample = keras.layers.Conv2DTranspose(
            variant.mask, 2, strides=2, activation="relu", kernel_initializer="he_normal", name="upsample"
        )
        self.logits = keras.layers.Conv2D(len(TYPES), 1, name="logits")

    def build(self, _shape: tuple[int | None, ...] | None = None) -> None:
        """Build for the variant's pyramid width."""
        self.convolutions[0].build((None, MASK_GRID, MASK_GRID, self.channels))
        self.convolutions[1].build((None, MASK_GRID, MASK_GRID, self.width))
        self.upsample.build((None, MASK_GRID, MASK_GRID, self.width))
        self.logits.build((None, MASK_SIZE, MASK_SIZE, self.width))

    def call(self, features: Tensor) -> Tensor:
        """Return mask logits [K, 56, 56, 3] of features [K, 28, 28, C]."""
        x = features
        for convolution in self.convolutions:
            x = convolution(x)
        return self.logits(self.upsample(x))
