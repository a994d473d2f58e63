# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Tensors of whichever backend Keras runs on: TensorFlow where the network is exported, JAX where a GPU trains it.

The network is written in `keras.ops`, so that both run the same code. What `keras.ops` cannot say as one plain node of
an exported graph stands here.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import keras
from keras import ops

Tensor: TypeAlias = Any
"""A tensor of the backend that is in use."""


def take(table: Tensor, index: Tensor) -> Tensor:
    """Return the rows of `table` [N, ...] that `index` (int32, each 0 .. N - 1) names.

    On TensorFlow one Gather: `ops.take` adds nodes that make negative indices right, of which there are none.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.gather(table, index)
    return ops.take(table, index, axis=0)
