# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The burst itself: one stream of batches teaches several variants at once, for some minutes.

Drawing a batch costs a processor more than learning from it costs a GPU, so every variant learns from each batch, and
from the last one mirrored while none is ready (`feed`). The rate is as in the long run: warm-up, then its height; over
the last part of the time it falls to a fiftieth. At the end some validation heads are read with the averaged weights
(`reader`).
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import jax
import keras
import numpy as np
from jax import numpy as jnp
from numpy.typing import NDArray

from appliance.reading.contract import INPUT_SHAPE
from appliance.reading.detections import Outputs
from simulator.population import REALISTIC
from training.batches import Shape
from training.burst.feed import Feed
from training.burst.reader import Reader
from training.burst.slots import Slots
from training.comparison import Row, compare
from training.network.detector import Detector
from training.network.variants import VARIANTS
from training.provenance import ranges
from training.step import JaxStep, Learner
from training.weight_file import store_weights

log = logging.getLogger(__name__)

LOGGED_EVERY_S: Final = 5.0
SHOWN_EVERY_S: Final = 10.0
"""Seconds between the averages that heads are read with, while the network learns."""
AVERAGE: Final = 0.999


@dataclass(frozen=True)
class Pupil:
    """A variant that a burst teaches: the weights it begins with, if any, and its rate at its height."""

    variant: str
    start: Path | None
    rate: float


@dataclass(frozen=True)
class Burst:
    """The settings of a burst.

    Attributes
    ----------
    folder
        Where weights and logs go.
    minutes
        Time from now on, compiling included.
    warm_up
        Steps over which the rate rises: Adam begins without knowing any gradient.
    cool_down
        The share of the training time, at its end, over which the rate falls.
    least
        Steps of each pupil before the end, whatever the time.
    """

    pupils: tuple[Pupil, ...]
    folder: Path
    minutes: float
    shape: Shape
    warm_up: int = 300
    cool_down: float = 0.4
    save_every_s: float = 100.0
    least: int = 0


@dataclass(eq=False)
class Lesson:
    """A pupil in progress."""

    pupil: Pupil
    shape: Shape
    steps: int = 0
    learner: Learner = field(init=False)
    step: JaxStep = field(init=False)
    recent: list[dict[str, Any]] = field(default_factory=list)
    shown: list[Any] = field(default_factory=list)
    _before: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Build the network, with the weights that it begins with, and one for reading, which computes in fp32."""
        with jax.default_device(jax.devices("cpu")[0]):  # a GPU would compile a program for each variable's shape
            detector = Detector(VARIANTS[self.pupil.variant])
            detector.build()
            if self.pupil.start:
                detector.load_weights(self.pupil.start)
            self.learner = Learner.build(detector, self.pupil.rate, AVERAGE, seed=1)
            policy = keras.mixed_precision.dtype_policy()
            keras.mixed_precision.set_dtype_policy("float32")
            reading = Detector(VARIANTS[self.pupil.variant])
            reading.build()
            keras.mixed_precision.set_dtype_policy(policy)
        self.step = JaxStep(self.learner, self.shape.slabs, statistics=True)

        def read(values: list[Any], hu: Any) -> Any:
            with keras.StatelessScope(state_mapping=list(zip(reading.variables, values, strict=True))):
                return reading.call(hu.astype("float32"))

        self._read: Any = jax.jit(read)
        self.show()

    def compile(self, arrays: Sequence[Any]) -> None:
        """Get ready to learn from batches like this one."""
        began = time.monotonic()
        self.step.compile(arrays)
        log.info("%s is compiled after %.0f s", self.pupil.variant, time.monotonic() - began)

    def compile_reading(self) -> None:
        """Get ready to read chunks."""
        self._read = self._read.lower(self.shown, np.zeros(INPUT_SHAPE, np.int16)).compile()

    def show(self) -> None:
        """Let chunks be read with the averages as they are now; the step takes its own arrays with it."""
        self.shown = [jnp.copy(value) for value in self.step.state[3]]

    def detect(self, hu: NDArray[np.int16]) -> Outputs:
        """Return the contract's outputs for a chunk hu [20, 512, 512] with the averages shown last."""
        outputs: Outputs = jax.device_get(self._read(self.shown, hu))
        return outputs

    def learn(self, factor: float, arrays: Sequence[Any]) -> None:
        """Learn from one batch at `factor` of the rate's height; return when the batch before it is learnt.

        Nothing else says whether the device waits for a batch.
        """
        terms = self.step(self.steps, self.pupil.rate * factor, arrays)
        jax.block_until_ready(self._before)
        self._before = terms
        self.recent.append(terms)
        self.steps += 1

    def means(self) -> dict[str, float]:
        """Return the mean of each term since the last call."""
        means = {name: float(np.mean([float(terms[name]) for terms in self.recent])) for name in self.recent[0]}
        self.recent = []
        return means

    def save(self, folder: Path, told: dict[str, Any]) -> None:
        """Write the averaged weights, and their description beside them."""
        self.step.settle()
        with self.learner.averages.apply():
            aside = folder / f"aside-{self.pupil.variant}.weights.h5"
            store_weights(self.learner.detector, aside)
            aside.replace(folder / f"{self.pupil.variant}.weights.h5")
        self.describe(folder, told)

    def describe(self, folder: Path, told: dict[str, Any]) -> None:
        """Write what the weights are, beside them."""
        told = told | {"variant": self.pupil.variant, "steps_of_the_burst": self.steps}
        (folder / f"{self.pupil.variant}.json").write_text(json.dumps(told, indent=2) + "\n")


def rate_factor(step: int, part: float, burst: Burst) -> float:
    """Return the share of the rate's height at a step, when `part` (0 to 1) of the time is over."""
    warm = min(1.0, (step + 1) / burst.warm_up)
    cool = min(1.0, 0.02 + 0.98 * max(0.0, 1.0 - part) / burst.cool_down)
    return warm * cool


def run(
    burst: Burst,
    slots: Slots,
    told: dict[str, Any],
    reader: Reader,
    alive: Callable[[], bool],
) -> tuple[dict[str, Any], list[Row]]:
    """Teach every pupil from the batches that come through `slots`; return the result of the burst, a row for each.

    All are compiled while the first batches are drawn; each joins when it is. Averaged weights and `told` are written
    to the burst's folder regularly, and at the end, with the figures on the heads that `reader` has.

    Raises
    ------
    RuntimeError
        If batches or figures do not come any more; weights that were learnt are written before.
    """
    end = time.monotonic() + 60 * burst.minutes
    lessons = [Lesson(pupil, burst.shape) for pupil in burst.pupils]
    compilers = ThreadPoolExecutor(len(lessons))  # compiling frees the interpreter
    compiled = [compilers.submit(lesson.compile, slots.batches[0]) for lesson in lessons]
    readable = {lesson.pupil.variant: (compilers.submit(lesson.compile_reading), lesson) for lesson in lessons}
    reader.serve(lambda variant, hu: _ready(*readable[variant]).detect(hu))
    feed = Feed(slots, alive)
    compiled[0].result()
    log.info("waiting for the first batch")
    arrays = feed.take()
    joined = [lessons[0]]
    waited = 0.0
    began = logged = saved = shown = time.monotonic()

    def figures() -> dict[str, Any]:
        seconds = time.monotonic() - began
        counts = {"batches": feed.fresh, "mirrored": feed.mirrored}
        return counts | {"seconds": round(seconds, 1), "waited_s": round(waited, 1)}

    while (now := time.monotonic()) < end or min(lesson.steps for lesson in lessons) < burst.least:
        for lesson, future in zip(lessons[1:], compiled[1:], strict=True):
            if lesson not in joined and future.done():
                future.result()
                joined.append(lesson)
        for lesson in joined:
            lesson.learn(rate_factor(lesson.steps, (now - began) / max(end - began, 1.0), burst), arrays)
        if now - shown > SHOWN_EVERY_S:
            lessons[0].show()
            shown = now
        if now - logged > LOGGED_EVERY_S:
            for lesson in joined:
                line = figures() | {name: round(value, 5) for name, value in lesson.means().items()}
                with (burst.folder / f"{lesson.pupil.variant}.jsonl").open("a") as file:
                    file.write(json.dumps(line) + "\n")
                log.info("%s %s", lesson.pupil.variant, json.dumps(line))
            logged = now
        if now - saved > burst.save_every_s:
            for lesson in joined:
                lesson.save(burst.folder, told | figures())
            saved = now
        before = time.monotonic()
        arrays = feed.take()
        waited += time.monotonic() - before
    told |= figures()
    for lesson in joined:
        lesson.show()
        lesson.save(burst.folder, told)
    validated = reader.finish()
    rows = compare(validated.outcomes, [REALISTIC.name] * len(validated.seeds))
    told["validation_seeds"] = ranges(validated.seeds)
    for lesson, row in zip(lessons, rows, strict=True):
        if lesson in joined:
            lesson.describe(burst.folder, told | {"validation": row.report()})
    compilers.shutdown(wait=False, cancel_futures=True)
    return told | {"device": str(jax.devices()[0].device_kind)}, rows


def _ready(compiled: Future[None], lesson: Lesson) -> Lesson:
    """Return a lesson once its reading is compiled."""
    compiled.result()
    return lesson


def compute_in_half_precision() -> None:
    """Let networks built from now on compute in bfloat16; weights, statistics and losses stay fp32."""
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
