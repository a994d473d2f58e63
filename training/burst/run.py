# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The burst itself: one stream of batches teaches several variants at once, for some minutes.

Drawing a batch costs a processor more than learning from it costs a GPU, so every variant learns from each batch. The
rate is as in the long run: warm-up, then its height; over the last part of the time it falls to a fiftieth. There is no
validation here: the processor that would read whole heads draws batches instead, and the weights are judged where they
are published.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import jax
import keras
import numpy as np

from training.batches import Shape
from training.burst.slots import Slots
from training.network.detector import Detector
from training.network.variants import VARIANTS
from training.step import JaxStep, Learner
from training.weight_file import store_weights

log = logging.getLogger(__name__)

LOGGED_EVERY_S: Final = 5.0
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
    """

    pupils: tuple[Pupil, ...]
    folder: Path
    minutes: float
    shape: Shape
    warm_up: int = 300
    cool_down: float = 0.4
    save_every_s: float = 100.0


@dataclass(eq=False)
class Lesson:
    """A pupil in progress."""

    pupil: Pupil
    shape: Shape
    steps: int = 0
    learner: Learner = field(init=False)
    step: JaxStep = field(init=False)
    recent: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Build the network, with the weights that it begins with."""
        with jax.default_device(jax.devices("cpu")[0]):  # a GPU would compile a program for each variable's shape
            detector = Detector(VARIANTS[self.pupil.variant])
            detector.build()
            if self.pupil.start:
                detector.load_weights(self.pupil.start)
            self.learner = Learner.build(detector, self.pupil.rate, AVERAGE, seed=1)
        self.step = JaxStep(self.learner, self.shape.slabs, statistics=True)

    def compile(self, arrays: Sequence[Any]) -> None:
        """Get ready to learn from batches like this one."""
        began = time.monotonic()
        self.step.compile(arrays)
        log.info("%s is compiled after %.0f s", self.pupil.variant, time.monotonic() - began)

    def learn(self, factor: float, arrays: Sequence[Any]) -> None:
        """Learn from one batch at `factor` of the rate's height."""
        self.recent.append(self.step(self.steps, self.pupil.rate * factor, arrays))
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
        told = told | {"variant": self.pupil.variant, "steps_of_the_burst": self.steps}
        (folder / f"{self.pupil.variant}.json").write_text(json.dumps(told, indent=2) + "\n")


def rate_factor(step: int, part: float, burst: Burst) -> float:
    """Return the share of the rate's height at a step, when `part` (0 to 1) of the time is over."""
    warm = min(1.0, (step + 1) / burst.warm_up)
    cool = min(1.0, 0.02 + 0.98 * max(0.0, 1.0 - part) / burst.cool_down)
    return warm * cool


def run(burst: Burst, slots: Slots, told: dict[str, Any]) -> dict[str, Any]:
    """Teach every pupil from the batches that come through `slots`; return the result of the burst.

    The first pupil begins as soon as it is compiled, and the others join when they are. Averaged weights and `told` are
    written to the burst's folder regularly, and at the end.
    """
    end = time.monotonic() + 60 * burst.minutes
    lessons = [Lesson(pupil, burst.shape) for pupil in burst.pupils]
    batches = _on_device(slots)
    first = next(batches)
    log.info("the first batch is there; compiling")
    lessons[0].compile(first)
    compilers = ThreadPoolExecutor(len(lessons))  # compiling frees the interpreter
    compiled = [compilers.submit(lesson.compile, first) for lesson in lessons[1:]]
    joined = [lessons[0]]
    drawn, waited = 0, 0.0
    began = logged = saved = time.monotonic()

    def figures() -> dict[str, Any]:
        seconds = time.monotonic() - began
        return {"batches": drawn, "seconds": round(seconds, 1), "waited_s": round(waited, 1)}

    while (now := time.monotonic()) < end:
        for lesson, future in zip(lessons[1:], compiled, strict=True):
            if lesson not in joined and future.done():
                future.result()
                joined.append(lesson)
        arrays = next(batches)
        waited += time.monotonic() - now
        drawn += 1
        for lesson in joined:
            lesson.learn(rate_factor(lesson.steps, (now - began) / (end - began), burst), arrays)
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
    for lesson in joined:
        lesson.save(burst.folder, told | figures())
    compilers.shutdown(wait=False, cancel_futures=True)
    return figures() | {"device": str(jax.devices()[0].device_kind)}


def _on_device(slots: Slots) -> Iterator[Sequence[Any]]:
    """Yield batches on the device; the next ones are copied while the network learns from one."""
    ready: queue.Queue[Sequence[Any]] = queue.Queue(maxsize=3)

    def copy() -> None:
        while True:
            place = slots.filled.get()
            # A copy first, because a CPU device may use the very memory that is filled again.
            arrays = jax.block_until_ready([jax.device_put(np.array(values)) for values in slots.batches[place]])
            slots.free.put(place)
            ready.put(arrays)

    threading.Thread(target=copy, daemon=True, name="to the device").start()
    while True:
        yield ready.get()


def compute_in_half_precision() -> None:
    """Let networks built from now on compute in bfloat16; weights, statistics and losses stay fp32."""
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
