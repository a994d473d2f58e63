# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The paper's backbone and pyramid as Figure 2 draws them: 3D convolutions over one slab of five slices.

It takes the weights of a detector in the shared form and computes one slab at a time with `conv3d`, the plain way;
the tests compare the two.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from training.network.backbone import EPSILON, ConvBNReLU
from training.network.detector import Detector


def twin_pyramid(detector: Detector, slab: np.ndarray[Any, Any]) -> list[tf.Tensor]:
    """Return the pyramid [1, H_l, W_l, C] of the middle slice of a scaled `slab` [5, H, W]."""
    x = tf.constant(slab[None, ..., None])
    x = _conv_bn_relu(detector.backbone.stem, x)
    maps = []
    for stage in detector.backbone.stages:
        x = _conv_bn_relu(stage.subsample, x)
        x = _conv_bn_relu(stage.z.pointwise, x, depth=2)
        for block in stage.blocks:
            y = _conv_bn_relu(block.reduce, x)
            y = _conv_bn_relu(block.convolve, y)
            x = tf.nn.relu(x + _conv_bn_relu(block.expand, y))
        maps.append(x)
    merged: list[tf.Tensor] = []
    arm = detector.feature_pyramid
    for level in (3, 2, 1, 0):
        pointwise = arm.projections[level].pointwise
        assert maps[level].shape[1] == 4 - level
        lateral = tf.nn.conv3d(maps[level], _kernel(pointwise.kernel, 4 - level), [1] * 5, "VALID") + pointwise.bias
        lateral = lateral[:, 0]
        if merged:
            lateral += tf.image.resize(merged[0], lateral.shape[1:3], method="nearest")
        merged.insert(0, lateral)
    return [tf.nn.relu(smooth(x)) for smooth, x in zip(arm.smoothings, merged, strict=True)]


def _kernel(kernel: tf.Tensor, depth: int) -> tf.Tensor:
    """Return the 3D kernel [depth, k, k, C, out] of a 2D kernel [k, k, depth * C, out] in the shared form."""
    k, _, stacked, out = kernel.shape
    return tf.transpose(tf.reshape(kernel, [k, k, depth, stacked // depth, out]), [2, 0, 1, 3, 4])


def _conv_bn_relu(layer: ConvBNReLU, x: tf.Tensor, depth: int = 1) -> tf.Tensor:
    """Return the layer's output on x [1, D, H, W, C] by a 3D convolution with valid padding in z."""
    x = tf.pad(x, [[0, 0], [0, 0], [layer.pad, layer.pad], [layer.pad, layer.pad], [0, 0]])
    x = tf.nn.conv3d(x, _kernel(layer.convolution.kernel, depth), [1, 1, layer.stride, layer.stride, 1], "VALID")
    bn = layer.normalisation
    x = (x - bn.moving_mean) / tf.sqrt(bn.moving_variance + EPSILON) * bn.gamma + bn.beta
    return tf.nn.relu(x) if layer.relu else x
