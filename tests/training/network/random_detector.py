# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Detectors with random weights."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from training.network.backbone import MOMENTUM
from training.network.detector import Detector
from training.network.variants import VARIANTS


def random_detector(variant: str, seed: int = 0) -> Detector:
    """A detector with random weights whose activations are of order one, as after training."""
    keras.utils.set_random_seed(seed)
    detector = Detector(VARIANTS[variant])
    detector.build()
    rng = np.random.default_rng(seed)
    for variable in detector.variables:
        if variable.path.endswith("gamma"):
            variable.assign(rng.uniform(0.5, 1.0, variable.shape))
        elif variable.path.endswith(("beta", "bias")):
            variable.assign(variable + rng.normal(0, 0.1, variable.shape))
    # The statistics of one batch make batch normalisation do its work.
    layers = [layer for layer in detector._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in layers:
        layer.momentum = 0.0
    pyramid = detector.pyramid(tf.constant(rng.uniform(-3, 3, (8, 64, 64, 1)), keras.config.floatx()), training=True)
    for layer in layers:
        layer.momentum = MOMENTUM
    # Undo the growth of the sums along the top-down arm, and let the heads have an opinion.
    for smoothing, level in zip(detector.feature_pyramid.smoothings, pyramid, strict=True):
        smoothing.kernel.assign(smoothing.kernel / np.std(level))
    for layer in (detector.rpn.objectness, detector.classifier.logits):
        layer.kernel.assign(10 * layer.kernel)
    return detector
