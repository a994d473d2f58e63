# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The training run: heads, batches, steps, a log, checkpoints, validation, and the weights.

Averages of the weights are validated and published (`training.averages`). A run may be endless: it continues from its
newest checkpoint (`training.checkpoints`), else from given weights, and ends with a checkpoint on request.

The paper trains with Adam from a learning rate of 2e-4, "annealed whenever a plateau in training loss was
observed", for about 100,000 iterations. A run here may be a hundredth of that, so the rate starts higher, is also
annealed on a plateau, and falls linearly over the last part of the run, in which batch normalisation keeps its
statistics, so that the exported network is the trained one.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from appliance.reading.contract import CHUNK_INPUT_SLICES, MATRIX
from appliance.reading.detections import Outputs
from simulator.recipes import HELD_OUT
from training.batches import Batch, Shape, batch
from training.checkpoints import Checkpoints
from training.false_alarms import FalseAlarms
from training.heads import Head, find_heads
from training.history import LOG, entries
from training.lock import hold
from training.missed_lesions import MissedLesions
from training.network.detector import Detector
from training.network.older_weights import widen_checkpoint
from training.network.variants import VARIANTS
from training.pace import Pace
from training.pool import validation_heads
from training.reading import Quality, judge, read, scan_heads
from training.step import Learner, compile_step
from training.weight_file import store_weights

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LastPart:
    """The last part of a run: whole slices, as the service reads them, with the statistics that the export keeps.

    Attributes
    ----------
    first
        The step it begins with.
    steps
        How long it is; over them the rate falls to a fiftieth.
    shape
        Of its batches, with as many slabs as the run's.
    """

    first: int
    steps: int
    shape: Shape = field(default_factory=lambda: Shape(slabs=2, targets=2, size=MATRIX))


@dataclass(frozen=True)
class Run:
    """The settings of a training run.

    Attributes
    ----------
    heads, validation
        Folders of stored heads to learn from and to validate on.
    folder
        The folder of this run's checkpoints and log; a run that finds a checkpoint there continues from it.
    steps, minutes
        The run ends at whichever comes first; it may be never.
    start
        Weights to begin with where there is no checkpoint; random ones if there is no such file.
    rate, warm_up
        The learning rate at its height, and the steps it takes to get there.
    patience
        Steps without a lower mean loss after which the rate is halved, down to `least_factor` of its height.
    cool_down
        The share of the run at its end over which the rate falls to a fiftieth and statistics are kept.
    average
        How much of the averaged weights stays at each step.
    checkpoint_minutes
        Time between checkpoints: what a kill costs at most.
    least_validated
        Heads without which there is no validation.
    alarms_every, alarms_of, missed_of
        After so many steps, so many heads without blood are read whole for false alarms to learn from, and so many
        bleeding ones for lesions that are missed; 0 is never.
    last
        The part that ends the run, in place of `cool_down`.
    """

    variant: str
    heads: Path
    validation: Path
    folder: Path
    steps: float = 100_000
    minutes: float = float("inf")
    start: Path | None = None
    seed: int = 1
    shape: Shape = field(default_factory=lambda: Shape(slabs=2, targets=4, size=256))
    rate: float = 2e-4
    warm_up: int = 200
    patience: int = 2000
    least_factor: float = 1 / 16
    cool_down: float = 0.25
    average: float = 0.999
    validate_every: int = 2000
    checkpoint_minutes: float = 5.0
    least_validated: int = 1
    alarms_every: int = 0
    alarms_of: int = 2
    missed_of: int = 2
    last: LastPart | None = None

    def __post_init__(self) -> None:
        if self.last and self.last.shape.slabs != self.shape.slabs:
            raise ValueError(f"the last part has {self.last.shape.slabs} slabs, the run {self.shape.slabs}")


class Trainer:
    """A run in progress: the detector, its optimiser, its averages, and its progress."""

    def __init__(self, run: Run):
        keras.utils.set_random_seed(run.seed)
        self.run = run
        self.detector = Detector(VARIANTS[run.variant])
        self.detector.build()
        self.learner = Learner.build(self.detector, run.rate, run.average, run.seed)
        self.averages = self.learner.averages
        self.progress = {"step": 0, "seconds": 0.0, "factor": 1.0, "best": float("inf"), "best_step": 0, "began": 0}
        self.steps = {
            learning: compile_step(self.learner, run.shape.slabs, statistics=learning) for learning in (True, False)
        }
        self.alarms = FalseAlarms(run.folder)
        self.missed = MissedLesions(run.folder)
        self.checkpoints = Checkpoints(run.folder / "checkpoints")
        self.resumed = False
        self._passed_over = 0
        self._detect = detector_run(self.detector)
        self._restore()
        self.seconds_before = 0.0 if self.resumed else self.progress["seconds"]

    @property
    def part(self) -> float:
        """How much of the run is done, 0 to 1; of its last part, if it has one."""
        if last := self.run.last:
            return max(0.0, (self.progress["step"] - last.first) / last.steps)
        done = (self.progress["step"] - self.progress["began"]) / self.run.steps
        return max(done, (self.progress["seconds"] - self.seconds_before) / (60 * self.run.minutes))

    @property
    def cooling(self) -> bool:
        """Whether the run is in its last part, in which the rate falls and statistics are kept."""
        if last := self.run.last:
            return self.progress["step"] >= last.first
        return self.part > 1 - self.run.cool_down

    def learning_rate(self) -> float:
        """Return the rate of the next step: warm-up, plateau, cool-down."""
        warm = min(1.0, (self.progress["step"] - self.progress["began"] + 1) / self.run.warm_up)
        falling = 1.0 if self.run.last else self.run.cool_down
        cool = 1.0 if not self.cooling else 0.02 + 0.98 * max(0.0, 1 - self.part) / falling
        return self.run.rate * warm * cool * self.progress["factor"]

    def anneal(self, mean_loss: float) -> None:
        """Halve the rate when the mean training loss has not come down for `patience` steps."""
        if mean_loss < 0.99 * self.progress["best"]:
            self.progress |= {"best": mean_loss, "best_step": self.progress["step"]}
        elif self.progress["step"] - self.progress["best_step"] > self.run.patience:
            factor = max(self.run.least_factor, self.progress["factor"] / 2)
            self.progress |= {"factor": factor, "best": mean_loss, "best_step": self.progress["step"]}

    def train(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Continue until the run is over, or `stop()` says so; both end with a checkpoint.

        Raises
        ------
        AlreadyRunningError
            If another process trains this run.
        """
        with hold(self.run.folder / "trainer.pid"):
            self._forget_later_lines()
            self._train(stop)

    def _train(self, stop: Callable[[], bool]) -> None:
        recent: list[dict[str, float]] = []
        pace = Pace()
        clock = saved = time.monotonic()
        for drawn in self._batches():
            if stop() or self.part >= 1.0:
                break
            step = self.steps[not self.cooling]
            terms = step(int(self.progress["step"]), self.learning_rate(), list(vars(drawn).values()))
            recent.append({name: float(value) for name, value in terms.items()})
            self._check(recent[-1])
            self.progress["step"] += 1
            self.progress["seconds"] += pace.worked_s(time.monotonic() - clock)
            clock = time.monotonic()
            if len(recent) == 50:
                means = {name: float(np.mean([r[name] for r in recent])) for name in recent[0] if name != "fit"}
                if not (self.run.last and self.cooling):  # the losses of whole slices are compared with no crops'
                    self.anneal(means["total"])
                self._log({"rate": self.learning_rate()} | means)
                recent = []
            if time.monotonic() - saved > 60 * self.run.checkpoint_minutes:
                self._save()
                saved = time.monotonic()
            if self.progress["step"] % self.run.validate_every == 0:
                self._save()
                if figures := self.validate(stop=stop):
                    self._log({"validation": figures.report()})
                clock = saved = time.monotonic()
            if self.run.alarms_every and self.progress["step"] % self.run.alarms_every == 0:
                self._read_heads(stop)
                clock = time.monotonic()
        self._save()
        if self.run.last and self.part >= 1.0 and not self._is_validated() and (figures := self.validate(stop=stop)):
            self._log({"validation": figures.report()})

    def _is_validated(self) -> bool:
        """Return whether the log has figures of the current step."""
        lines = entries(self.run.folder / LOG)
        return any(line["step"] == self.progress["step"] and "validation" in line for line in lines)

    def _read_heads(self, stop: Callable[[], bool]) -> None:
        """Read some heads whole for false alarms and missed lesions, with the averaged weights."""
        heads = find_heads(self.run.heads)
        with self.averages.apply():
            alarms = self.alarms.read_next(self._detect, heads, self.run.alarms_of, stop)
            missed = self.missed.read_next(self._detect, heads, self.run.missed_of, stop)
        log.info("%d false alarms and %d places of missed lesions in the heads read now", alarms, missed)

    def _check(self, terms: dict[str, float]) -> None:
        """Skip a step whose gradients were not finite, but not twenty in a row.

        Raises
        ------
        FloatingPointError
            If the run has gone astray.
        """
        self._passed_over = 0 if terms["fit"] else self._passed_over + 1
        if self._passed_over:
            log.warning("step %d is passed over: the losses are %s", self.progress["step"], terms)
        if self._passed_over >= 20:
            raise FloatingPointError(f"the losses are {terms} at step {self.progress['step']}")

    def _batches(self) -> Iterator[Batch]:
        """Yield the batches from the current step on, each made while the step before it runs."""
        heads: dict[Path, Head] = {}

        def draw_from(heads: Mapping[Path, Head], step: int) -> Batch:
            rng = np.random.default_rng([self.run.seed, step])
            last = self.run.last
            shape = last.shape if last and step >= last.first else self.run.shape
            return batch(list(heads.values()), shape, rng, self.alarms, self.missed)

        def draw(step: int) -> Batch:
            nonlocal heads
            if step % 100 == 0 or not heads:  # the folder may still be filling
                heads = _to_learn_from(self.run.heads, heads)
            try:
                return draw_from(heads, step)
            except FileNotFoundError:  # a head was given up before it was opened
                heads = _to_learn_from(self.run.heads, heads)
                return draw_from(heads, step)

        with ThreadPoolExecutor(1) as pool:
            step = int(self.progress["step"])
            following = pool.submit(draw, step)
            while True:
                drawn = following.result()
                step += 1
                following = pool.submit(draw, step)
                yield drawn

    def validate(self, count: int | None = None, stop: Callable[[], bool] = lambda: False) -> Quality | None:
        """Return the quality of the averaged weights on the (first `count`) stored validation heads.

        None where there are too few heads, or if `stop()` says so before all are read.
        """
        heads = validation_heads(self.run.validation)[:count]
        if len(heads) < self.run.least_validated:
            return None
        readings = []
        with self.averages.apply():
            for study in scan_heads(heads):
                if stop():
                    return None
                readings.append(read(self._detect, study))
        return judge(readings) if readings else None

    def settle(self, path: Path) -> None:
        """Store the averaged weights at `path`, and load what was stored, which is validated from here on."""
        for average, variable in zip(self.averages.values, self.detector.variables, strict=True):
            variable.assign(average)
        store_weights(self.detector, path)
        self.averages.reset()

    def _log(self, entry: dict[str, Any]) -> None:
        """Append one line to the run's log."""
        line = {"step": int(self.progress["step"]), "seconds": round(self.progress["seconds"], 1)} | {
            name: round(value, 5) if isinstance(value, float) else value for name, value in entry.items()
        }
        with (self.run.folder / LOG).open("a") as file:
            file.write(json.dumps(line) + "\n")
        log.info("%s", json.dumps(line))

    def _forget_later_lines(self) -> None:
        """Remove the log's lines after the checkpoint, because those steps are repeated."""
        path = self.run.folder / LOG
        if not path.exists():
            return
        kept = [line for line in entries(path) if line["step"] <= self.progress["step"]]
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text("".join(json.dumps(line) + "\n" for line in kept))
        partial.replace(path)

    def _state(self) -> dict[str, Any]:
        """Return every variable of the run by its name in a checkpoint."""
        own = {
            variable.path: variable
            for variable in (*self.detector.variables, *self.learner.dense.variables, *self.learner.optimiser.variables)
        }
        averages = zip(self.detector.variables, self.averages.values, strict=True)
        return own | {f"average/{variable.path}": average for variable, average in averages}

    def _save(self) -> None:
        """Write a checkpoint."""
        self.checkpoints.save(self.progress, {name: variable.numpy() for name, variable in self._state().items()})

    def _begin_with(self, weights: Path) -> None:
        """Begin with weights, and continue the count of steps from the file beside them."""
        self.detector.load_weights(weights)
        self.averages.reset()
        beside = weights.with_name(f"{self.run.variant}.json")
        if beside.exists():
            origin = json.loads(beside.read_text())
            step = int(origin["steps"])
            self.progress |= {"step": step, "began": step, "best_step": step, "seconds": 3600.0 * origin["hours"]}
        log.info("beginning with the weights of %s at step %d", weights, self.progress["step"])

    def _restore(self) -> None:
        """Continue from the newest checkpoint of an earlier call, else from the weights that the run starts with.

        Raises
        ------
        ValueError
            If the checkpoint is of another variant.
        """
        found = self.checkpoints.newest()
        if found is None:
            if self.run.start and self.run.start.exists():
                self._begin_with(self.run.start)
            return
        self.resumed = True
        self.progress, arrays = self.progress | found[0], widen_checkpoint(found[1])
        state = self._state()
        if any(name not in found[1] or found[1][name].shape != arrays[name].shape for name in arrays):
            # Losses of other terms are compared with none from before.
            self.progress |= {"best": float("inf"), "best_step": self.progress["step"]}
        for name, variable in state.items():
            if name not in arrays:
                log.warning("the checkpoint has no %s: it starts afresh", name)
            elif arrays[name].shape != tuple(variable.shape):
                raise ValueError(f"{name} in {self.checkpoints.folder} is {arrays[name].shape}, not {variable.shape}")
            else:
                variable.assign(arrays[name])
        log.info("going on from step %d", self.progress["step"])


def _to_learn_from(folder: Path, known: Mapping[Path, Head]) -> dict[Path, Head]:
    """Return the heads that lie in `folder` now by their place; those that are `known` stay open.

    Raises
    ------
    ValueError
        If there are none, or one is of a population that is kept for figures: a mechanism that was learnt from proves
        nothing.
    """
    heads: dict[Path, Head] = {}
    for head in find_heads(folder):
        place = head.folder / head.name
        if place not in known:
            try:
                population = head.scan.population
            except FileNotFoundError:  # given up since the folder was listed
                continue
            if population in HELD_OUT:
                raise ValueError(f"{head.name} in {folder} is of the population {population}, kept for figures")
        heads[place] = known.get(place, head)
    if not heads:
        raise ValueError(f"there are no heads in {folder} to learn from")
    return heads


def detector_run(detector: Detector) -> Callable[[np.ndarray[Any, Any]], Outputs]:
    """Return a function from one chunk hu [20, 512, 512] to the contract's outputs as arrays."""
    graph = tf.function(
        detector.call, input_signature=[tf.TensorSpec((CHUNK_INPUT_SLICES, MATRIX, MATRIX), tf.float32)]
    )
    return lambda hu: {name: value.numpy() for name, value in graph(tf.constant(hu)).items()}
