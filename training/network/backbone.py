# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The contracting (bottom-up) arm of Figure 2A: 3D convolutions over slabs of five slices, computed once a slice.

The paper maps a slab of 5 x 512 x 512 to one slice of features. In-plane kernels are 1 x k x k and the z-axis
shrinks only by 2 x 1 x 1 kernels with valid padding (5 -> 4 -> 3 -> 2 -> 1), so neighbouring slabs share every
intermediate slice. This form runs each layer once over a whole stack of slices and gives, for every slice with
two neighbours on each side, exactly the numbers that the slab-by-slab 3D network gives for it
(tests/training/network/test_shared_features.py shows it against Conv3D).

Layout: slices of several slabs lie depth-major in one batch axis, `[depth * slabs, H, W, C]`, slice z of slab b at
index `z * slabs + b`. A 2D convolution on it is a 1 x k x k convolution, and the next slice of every slab lies
`slabs` further on.
"""

from __future__ import annotations

import keras
from keras import ops

from training.network.tensors import Tensor
from training.network.variants import Variant

EPSILON = 1e-3
MOMENTUM = 0.99


class ConvBNReLU(keras.layers.Layer):  # type: ignore[misc]
    """Convolution, batch normalisation and (unless told otherwise) ReLU: the elements of Figure 2."""

    def __init__(self, channels: int, kernel: int, stride: int = 1, relu: bool = True, name: str | None = None):
        super().__init__(name=name)
        self.stride = stride
        self.pad = (kernel - 1) // 2
        self.convolution = keras.layers.Conv2D(
            channels,
            kernel,
            strides=stride,
            padding="same" if stride == 1 else "valid",
            use_bias=False,
            kernel_initializer="he_normal",
            name="convolution",
        )
        # Statistics are single precision even where the convolutions are not.
        self.normalisation = keras.layers.BatchNormalization(
            momentum=MOMENTUM,
            epsilon=EPSILON,
            dtype=keras.config.dtype_policy().variable_dtype,
            name="normalisation",
        )
        self.relu = relu

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Build the two layers for input of `shape` [N, H, W, C]."""
        self.convolution.build(shape)
        self.normalisation.build((*shape[:-1], self.convolution.filters))

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Return [N, H / stride, W / stride, channels]."""
        if self.stride > 1:
            # Padded alike on both sides, whatever the size: "same" depends on whether it is even.
            x = ops.pad(x, [[0, 0], [self.pad, self.pad], [self.pad, self.pad], [0, 0]])
        x = ops.cast(self.normalisation(self.convolution(x), training=training), self.compute_dtype)
        return ops.relu(x) if self.relu else x


class ZConvolution(keras.layers.Layer):  # type: ignore[misc]
    """The 2 x 1 x 1 convolution with valid padding that takes one slice off the depth of every slab."""

    def __init__(self, channels: int, name: str | None = None):
        super().__init__(name=name)
        self.pointwise = ConvBNReLU(channels, 1, name="pointwise")

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Build for input of `shape` [N, H, W, C]."""
        self.pointwise.build((*shape[:-1], 2 * int(shape[-1] or 0)))

    def call(self, x: Tensor, *, slabs: int, training: bool = False) -> Tensor:
        """Return [(depth - 1) * slabs, H, W, channels] of x [depth * slabs, H, W, C]."""
        return self.pointwise(ops.concatenate([x[:-slabs], x[slabs:]], axis=-1), training=training)


class Bottleneck(keras.layers.Layer):  # type: ignore[misc]
    """A residual 1 x 1 - 3 x 3 - 1 x 1 module (orange in Figure 2), in-plane."""

    def __init__(self, channels: int, name: str | None = None):
        super().__init__(name=name)
        # Half the width, not a quarter: at 32 channels a quarter would leave 8.
        self.reduce = ConvBNReLU(channels // 2, 1, name="reduce")
        self.convolve = ConvBNReLU(channels // 2, 3, name="convolve")
        self.expand = ConvBNReLU(channels, 1, relu=False, name="expand")

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Build for input of `shape` [N, H, W, C]."""
        inner = (*shape[:-1], self.reduce.convolution.filters)
        self.reduce.build(shape)
        self.convolve.build(inner)
        self.expand.build(inner)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Return x plus its residual, same shape."""
        y = self.convolve(self.reduce(x, training=training), training=training)
        return ops.relu(x + self.expand(y, training=training))


class Stage(keras.layers.Layer):  # type: ignore[misc]
    """One step down: in-plane stride 2 (s2 in Figure 2), one slice less of depth, two bottleneck modules."""

    def __init__(self, channels: int, name: str | None = None):
        super().__init__(name=name)
        self.channels = channels
        self.subsample = ConvBNReLU(channels, 3, stride=2, name="subsample")
        self.z = ZConvolution(channels, name="z")
        self.blocks = [Bottleneck(channels, name=f"block{i}") for i in range(2)]

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Build for input of `shape` [N, H, W, C]."""
        inner = (*shape[:-1], self.channels)
        self.subsample.build(shape)
        self.z.build(inner)
        for block in self.blocks:
            block.build(inner)

    def call(self, x: Tensor, *, slabs: int, training: bool = False) -> Tensor:
        """Return [(depth - 1) * slabs, H / 2, W / 2, channels] of x [depth * slabs, H, W, C]."""
        x = self.z(self.subsample(x, training=training), slabs=slabs, training=training)
        for block in self.blocks:
            x = block(x, training=training)
        return x


class Backbone(keras.layers.Layer):  # type: ignore[misc]
    """The contracting arm: a stem at stride 2 and depth 5, then strides 4, 8, 16, 32 at depths 4, 3, 2, 1."""

    def __init__(self, variant: Variant, name: str | None = None):
        super().__init__(name=name)
        self.stem = ConvBNReLU(variant.stem, 3, stride=2, name="stem")
        self.stages = [Stage(channels, name=f"stage{i + 1}") for i, channels in enumerate(variant.stages)]

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Build for input of `shape` [N, H, W, 1]."""
        self.stem.build(shape)
        channels = self.stem.convolution.filters
        for stage in self.stages:
            stage.build((*shape[:-1], channels))
            channels = stage.channels

    def call(self, x: Tensor, *, slabs: int, training: bool = False) -> list[Tensor]:
        """Return the maps of the four stages, finest first.

        x is [(targets + 4) * slabs, H, W, 1], scaled; the map of stage s (1 .. 4) is
        [(targets + 4 - s) * slabs, H / 2**(s + 1), W / 2**(s + 1), C_s].
        """
        maps = []
        x = self.stem(x, training=training)
        for stage in self.stages:
            x = stage(x, slabs=slabs, training=training)
            maps.append(x)
        return maps
