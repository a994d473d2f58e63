# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The expanding (top-down) arm of Figure 2: 2D maps of one width at strides 4, 8, 16 and 32.

Figure 2B joins the two arms by a *projection*: a map of the contracting arm with N slices of depth becomes one
slice by a convolution over all N (N x 1 x 1), and is added to the upsampled coarser map. In the shared form the
N slices of a target are N shifted views of the stack, so a projection is a concatenation and a 1 x 1 convolution.
"""

from __future__ import annotations

import keras
from keras import ops

from training.network.tensors import Tensor
from training.network.variants import Variant


class Projection(keras.layers.Layer):  # type: ignore[misc]
    """The N x 1 x 1 convolution of Figure 2B that makes one 2D map of the N slices around each target slice."""

    def __init__(self, depth: int, channels: int, name: str | None = None):
        super().__init__(name=name)
        self.depth = depth
        self.pointwise = keras.layers.Conv2D(channels, 1, kernel_initializer="he_normal", name="pointwise")

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Build for input of `shape` [N, H, W, C]."""
        self.pointwise.build((*shape[:-1], self.depth * int(shape[-1] or 0)))

    def call(self, x: Tensor, *, slabs: int) -> Tensor:
        """Return [targets * slabs, H, W, channels] of x [(targets + depth - 1) * slabs, H, W, C]."""
        count = x.shape[0] - (self.depth - 1) * slabs
        windows = [x[i * slabs : i * slabs + count] for i in range(self.depth)]
        return self.pointwise(ops.concatenate(windows, axis=-1) if self.depth > 1 else x)


class FeaturePyramid(keras.layers.Layer):  # type: ignore[misc]
    """Projections of all four stages, summed from coarse to fine, each smoothed by a 3 x 3 convolution."""

    def __init__(self, variant: Variant, name: str | None = None):
        super().__init__(name=name)
        levels = len(variant.stages)
        self.stage_channels = variant.stages
        self.projections = [Projection(levels - i, variant.pyramid, name=f"projection{i}") for i in range(levels)]
        self.smoothings = [
            keras.layers.Conv2D(
                variant.pyramid, 3, padding="same", kernel_initializer="he_normal", name=f"smoothing{i}"
            )
            for i in range(levels)
        ]
        self.channels = variant.pyramid

    def build(self, _shape: tuple[int | None, ...] | None = None) -> None:
        """Build all levels; the channels are known from the variant."""
        for channels, projection, smoothing in zip(self.stage_channels, self.projections, self.smoothings, strict=True):
            projection.build((None, None, None, channels))
            smoothing.build((None, None, None, self.channels))

    def call(self, maps: list[Tensor], *, slabs: int) -> list[Tensor]:
        """Return the pyramid, finest level first: [targets * slabs, H_l, W_l, channels] each."""
        merged: list[Tensor] = []
        for i in reversed(range(len(maps))):
            lateral = self.projections[i](maps[i], slabs=slabs)
            if merged:
                # Nearest-neighbour upsampling by repetition: a resize op would bring coordinate conventions along.
                lateral = lateral + ops.repeat(ops.repeat(merged[0], 2, axis=1), 2, axis=2)
            merged.insert(0, lateral)
        return [ops.relu(smooth(x)) for smooth, x in zip(self.smoothings, merged, strict=True)]
