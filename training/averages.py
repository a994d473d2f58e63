# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""An exponential moving average of a network's weights, which is what a run validates and publishes.

The average of the last thousand steps is nearer the minimum than any one of them (Polyak & Juditsky 1992), and replaces
the falling rate that an endless run never reaches. Statistics of batch normalisation are averaged together with the
weights that they belong to; Keras's own averaging leaves them out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import keras
from keras import ops

from training.network.tensors import Tensor


class Averages:
    """The running averages of variables; they start at the variables' values."""

    def __init__(self, variables: Sequence[keras.Variable], decay: float):
        self.variables = list(variables)
        self.decay = decay
        self.values = [
            keras.Variable(variable.numpy(), dtype=variable.dtype, trainable=False, name=f"average{i}")
            for i, variable in enumerate(variables)
        ]

    def reset(self) -> None:
        """Start again from the variables' values."""
        for average, variable in zip(self.values, self.variables, strict=True):
            average.assign(variable)

    def update(self, step: Tensor) -> None:
        """Take the variables' values in; early in a run (`step`) the average reaches back less far."""
        step = ops.cast(step, "float32")
        share = 1.0 - ops.minimum(self.decay, (1.0 + step) / (10.0 + step))
        for average, variable in zip(self.values, self.variables, strict=True):
            average.assign_add(share * (variable.value - average.value))

    @contextmanager
    def apply(self) -> Iterator[None]:
        """Give the variables their averages inside the block, and their own values back afterwards."""
        own = [variable.numpy() for variable in self.variables]
        for average, variable in zip(self.values, self.variables, strict=True):
            variable.assign(average)
        try:
            yield
        finally:
            for value, variable in zip(own, self.variables, strict=True):
                variable.assign(value)
