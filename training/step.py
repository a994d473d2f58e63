# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""One training step, compiled: losses, gradients, Adam, averages, on whichever backend Keras runs on.

TensorFlow trains on CPUs and always holds the weights in variables. JAX trains on a GPU: its step is a pure function of
all weights, which stay on the device between steps and return to the variables on request (`TrainingStep.settle`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import keras
import numpy as np
from keras import ops

from training.averages import Averages
from training.dense import DenseHead
from training.losses import WEIGHTS, losses
from training.network.detector import Detector
from training.network.tensors import Tensor

CLIP_NORM: Final = 10.0


@dataclass
class Learner:
    """All that a training step changes: the network, its dense head, Adam, the averages, and chance.

    Attributes
    ----------
    learnt
        The variables that gradients reach; the others are statistics of batch normalisation.
    """

    detector: Detector
    dense: DenseHead
    optimiser: keras.optimizers.Optimizer
    averages: Averages
    chance: keras.random.SeedGenerator

    @classmethod
    def build(cls, detector: Detector, rate: float, average: float, seed: int) -> Learner:
        """Return a learner of a detector, with fresh averages and a fresh Adam."""
        dense = DenseHead(detector.variant)
        dense.build()
        optimiser = keras.optimizers.Adam(rate, global_clipnorm=CLIP_NORM, name="adam")
        optimiser.build([*detector.trainable_variables, *dense.trainable_variables])
        return cls(detector, dense, optimiser, Averages(detector.variables, average), keras.random.SeedGenerator(seed))

    @property
    def learnt(self) -> list[keras.Variable]:
        """The variables that gradients reach."""
        return [*self.detector.trainable_variables, *self.dense.trainable_variables]

    def terms(self, arrays: Sequence[Tensor], slabs: int, statistics: bool) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of a batch (`batches.Batch`, in its order), and its terms."""
        terms = losses(self.detector, self.dense, *arrays, slabs=slabs, training=statistics, chance=self.chance)
        return sum(WEIGHTS[name] * term for name, term in terms.items()), terms


class TrainingStep(Protocol):
    """A compiled training step."""

    def __call__(self, number: int, rate: float, arrays: Sequence[Any]) -> dict[str, Any]:
        """Learn from a batch as step `number` at a learning rate; return the terms, their `total`, and `fit`.

        `fit` is 1 where the gradients were finite. One batch that overflows must not spoil weights that took days, so
        it teaches nothing.
        """

    def settle(self) -> None:
        """Bring what was learnt to the learner's variables."""


def compile_step(learner: Learner, slabs: int, statistics: bool) -> TrainingStep:
    """Return the step for batches of `slabs`; `statistics` is whether batch normalisation learns."""
    step = JaxStep if keras.backend.backend() == "jax" else TensorFlowStep
    return step(learner, slabs, statistics)


class TensorFlowStep:
    """A step that changes the variables in place."""

    def __init__(self, learner: Learner, slabs: int, statistics: bool):
        import tensorflow as tf

        self.optimiser = learner.optimiser
        learnt = learner.learnt

        def step(number: Tensor, *arrays: Tensor) -> dict[str, Tensor]:
            with tf.GradientTape() as tape:
                total, terms = learner.terms(arrays, slabs, statistics)
            gradients = tape.gradient(total, learnt)
            fit = tf.math.is_finite(tf.linalg.global_norm(gradients))
            learner.optimiser.apply([tf.where(fit, gradient, 0.0) for gradient in gradients])
            learner.averages.update(number)
            return terms | {"total": total, "fit": ops.cast(fit, "float32")}

        self.step: Callable[..., dict[str, Tensor]] = tf.function(step)

    def __call__(self, number: int, rate: float, arrays: Sequence[Any]) -> dict[str, Any]:
        """Learn from a batch."""
        self.optimiser.learning_rate.assign(rate)
        return self.step(ops.convert_to_tensor(number), *(ops.convert_to_tensor(array) for array in arrays))

    def settle(self) -> None:
        """Change nothing: the variables hold it."""


class JaxStep:
    """A step that is a pure function of the learner's variables, which it takes with it."""

    def __init__(self, learner: Learner, slabs: int, statistics: bool):
        import jax
        from jax import numpy as jnp

        self.learnt = learner.learnt
        known = {id(variable) for variable in self.learnt}
        self.others = [
            variable for variable in (*learner.detector.variables, learner.chance.state) if id(variable) not in known
        ]
        self.adam = list(learner.optimiser.variables)
        rate_place = [variable.path for variable in self.adam].index("adam/learning_rate")
        self.averages = learner.averages.values

        def loss(learnt: list[Any], others: list[Any], arrays: Sequence[Any]) -> tuple[Any, Any]:
            mapping = [*zip(self.learnt, learnt, strict=True), *zip(self.others, others, strict=True)]
            with keras.StatelessScope(state_mapping=mapping) as scope:
                total, terms = learner.terms(arrays, slabs, statistics)
            return total, (terms, [_current(scope, variable) for variable in self.others])

        def step(state: tuple[Any, ...], number: Any, rate: Any, arrays: Sequence[Any]) -> tuple[Any, Any]:
            learnt, others, adam, averages = state
            (total, (terms, others)), gradients = jax.value_and_grad(loss, has_aux=True)(learnt, others, arrays)
            fit = jnp.isfinite(sum(jnp.sum(gradient * gradient) for gradient in gradients))
            gradients = [jnp.where(fit, gradient, 0.0) for gradient in gradients]
            adam[rate_place] = jnp.asarray(rate, "float32")
            learnt, adam = learner.optimiser.stateless_apply(adam, gradients, learnt)
            mapping = [
                *zip(self.learnt, learnt, strict=True),
                *zip(self.others, others, strict=True),
                *zip(self.averages, averages, strict=True),
            ]
            with keras.StatelessScope(state_mapping=mapping) as scope:
                learner.averages.update(number)
            averages = [_current(scope, variable) for variable in self.averages]
            return (learnt, others, adam, averages), terms | {"total": total, "fit": fit.astype("float32")}

        self.step: Any = jax.jit(step, donate_argnums=0)
        self.state = tuple(
            [jax.device_put(np.asarray(variable.value)) for variable in variables]
            for variables in (self.learnt, self.others, self.adam, self.averages)
        )

    def __call__(self, number: int, rate: float, arrays: Sequence[Any]) -> dict[str, Any]:
        """Learn from a batch; the terms are on the device until they are read, so the next step need not wait."""
        self.state, terms = self.step(self.state, np.int32(number), np.float32(rate), list(arrays))
        return terms  # type: ignore[no-any-return]

    def compile(self, arrays: Sequence[Any]) -> None:
        """Compile for batches like this one now, which may take minutes, and learn nothing."""
        self.step = self.step.lower(self.state, np.int32(0), np.float32(0.0), list(arrays)).compile()

    def settle(self) -> None:
        """Bring what was learnt to the variables."""
        for variables, values in zip((self.learnt, self.others, self.adam, self.averages), self.state, strict=True):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)


def _current(scope: Any, variable: keras.Variable) -> Any:
    """Return a variable's value in a scope, which may not have changed it."""
    value = scope.get_current_value(variable)
    return variable.value if value is None else value
