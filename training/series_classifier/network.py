# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The series classifier's network: each slice through the same few convolutions, then what the slices say together.

The slices' features are joined by mean and maximum, so that their order, foot to head or head to foot, does not count.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import keras
from keras import layers

from appliance.reading.series import CLASSES, CLASSIFIER, INPUT, INPUT_SHAPE

WIDTHS: Final = (16, 32, 48, 64)
HIDDEN: Final = 64


def series_network() -> keras.Model:
    """Return the network with random weights: uint8 [N, *INPUT_SHAPE] in, probabilities [N, classes] out."""
    slices, *shape = INPUT_SHAPE
    shown = keras.Input(INPUT_SHAPE, dtype="uint8", name=INPUT)
    x = layers.Lambda(lambda thumbnails: keras.ops.cast(thumbnails, "float32") / 255.0, name="scaled")(shown)
    x = keras.ops.reshape(x, (-1, *shape))
    for level, width in enumerate(WIDTHS):
        x = layers.Conv2D(width, 5 if level == 0 else 3, 2, "same", use_bias=False, name=f"convolution_{level}")(x)
        x = layers.BatchNormalization(name=f"normalisation_{level}")(x)
        x = layers.ReLU(name=f"activation_{level}")(x)
    x = layers.Concatenate(name="of_a_slice")([layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x)])
    x = keras.ops.reshape(x, (-1, slices, 2 * WIDTHS[-1]))
    x = layers.Concatenate(name="of_a_series")([layers.GlobalAveragePooling1D()(x), layers.GlobalMaxPooling1D()(x)])
    x = layers.Dropout(0.3, name="dropout")(x)
    x = layers.Dense(HIDDEN, activation="relu", name="hidden")(x)
    x = layers.Dense(len(CLASSES), activation="softmax", name="classes")(x)
    return keras.Model(shown, x, name=CLASSIFIER)


def load_network(weights: Path) -> keras.Model:
    """Return the network with the weights of a `.weights.h5` file."""
    network = series_network()
    network.load_weights(weights)
    return network
