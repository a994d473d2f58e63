# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The training run: heads, batches, steps, a log, checkpoints, validation, and the weights with their provenance.

The paper trains with Adam from a learning rate of 2e-4, "annealed whenever a plateau in training loss was
observed", for about 100,000 iterations. A run here may be a hundredth of that, so the rate starts higher, is
annealed on a plateau all the same, and goes down linearly over the last part of the run, in which batch
normalisation keeps the statistics it has: what is exported then is what is trained.
"""

from __future__ import annotations

import datetime
import json
import logging
import subprocess
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import tensorflow as tf

from appliance.reading.contract import CHUNK_INPUT_SLICES, MATRIX
from appliance.reading.detections import Outputs
from simulator.recipes import HELD_OUT
from simulator.revision import stated_simulator
from training.batches import Batch, Shape, batch
from training.heads import MADE_WITH, Head, stored
from training.losses import WEIGHTS, losses
from training.network.detector import Detector
from training.network.variants import VARIANTS
from training.reading import Quality, Study, quality

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """What a training run is told.

    Attributes
    ----------
    heads, validation
        Folders of stored heads to learn from and to validate on.
    folder
        Where checkpoints and the log of this run lie; a run that finds a checkpoint there goes on from it.
    steps, minutes
        The run ends at whichever comes first.
    rate, warm_up
        The learning rate at its height, and the steps it takes to get there.
    patience
        Steps without a lower mean loss after which the rate is halved.
    cool_down
        The share of the run at its end over which the rate falls to a fiftieth and statistics are kept.
    """

    variant: str
    heads: Path
    validation: Path
    folder: Path
    steps: int = 100_000
    minutes: float = float("inf")
    seed: int = 1
    shape: Shape = field(default_factory=lambda: Shape(slabs=2, targets=4, size=256))
    rate: float = 2e-4
    warm_up: int = 200
    patience: int = 2000
    cool_down: float = 0.25
    validate_every: int = 2000
    checkpoint_every: int = 200


class Trainer:
    """A run in progress: the detector, its optimiser, and where it stands."""

    def __init__(self, run: Run):
        keras.utils.set_random_seed(run.seed)
        self.run = run
        self.detector = Detector(VARIANTS[run.variant])
        self.detector.build()
        self.optimiser = keras.optimizers.Adam(run.rate, global_clipnorm=10.0)
        self.optimiser.build(self.detector.trainable_variables)
        self.progress = {"step": 0, "seconds": 0.0, "factor": 1.0, "best": float("inf"), "best_step": 0}
        self.steps = {learning: self._step(learning) for learning in (True, False)}
        self.checkpoint = run.folder / "checkpoint"
        self._checkpoint = tf.train.Checkpoint(weights=self.detector.variables, optimiser=self.optimiser.variables)
        self._restore()

    def _step(self, statistics: bool) -> Callable[..., dict[str, tf.Tensor]]:
        """Return the compiled training step; `statistics` is whether batch normalisation learns."""

        def step(*arrays: tf.Tensor) -> dict[str, tf.Tensor]:
            with tf.GradientTape() as tape:
                terms = losses(self.detector, *arrays, slabs=self.run.shape.slabs, training=statistics)
                total = tf.add_n([WEIGHTS[name] * term for name, term in terms.items()])
            gradients = tape.gradient(total, self.detector.trainable_variables)
            self.optimiser.apply(gradients)
            return terms | {"total": total}

        return tf.function(step)  # type: ignore[no-any-return]

    @property
    def part(self) -> float:
        """How much of the run is done, 0 to 1."""
        return max(self.progress["step"] / self.run.steps, self.progress["seconds"] / (60 * self.run.minutes))

    @property
    def cooling(self) -> bool:
        """Whether the run is in its last part."""
        return self.part > 1 - self.run.cool_down

    def learning_rate(self) -> float:
        """Return the rate of the next step: warm-up, plateau, cool-down."""
        warm = min(1.0, (self.progress["step"] + 1) / self.run.warm_up)
        cool = 1.0 if not self.cooling else 0.02 + 0.98 * max(0.0, 1 - self.part) / self.run.cool_down
        return self.run.rate * warm * cool * self.progress["factor"]

    def anneal(self, mean_loss: float) -> None:
        """Halve the rate when the mean training loss has not come down for `patience` steps."""
        if mean_loss < 0.99 * self.progress["best"]:
            self.progress |= {"best": mean_loss, "best_step": self.progress["step"]}
        elif self.progress["step"] - self.progress["best_step"] > self.run.patience:
            self.progress |= {"factor": self.progress["factor"] / 2, "best_step": self.progress["step"]}

    def train(self) -> None:
        """Go on until the run is over."""
        self.run.folder.mkdir(parents=True, exist_ok=True)
        recent: list[dict[str, float]] = []
        clock = time.monotonic()
        for drawn in self._batches():
            self.optimiser.learning_rate.assign(self.learning_rate())
            arrays = [tf.constant(a) for a in vars(drawn).values()]
            terms = self.steps[not self.cooling](*arrays)
            recent.append({name: float(value) for name, value in terms.items()})
            if not np.isfinite(recent[-1]["total"]):
                raise FloatingPointError(f"the loss is {recent[-1]} at step {self.progress['step']}")
            self.progress["step"] += 1
            self.progress["seconds"] += time.monotonic() - clock
            clock = time.monotonic()
            if len(recent) == 50:
                means = {name: float(np.mean([r[name] for r in recent])) for name in recent[0]}
                self.anneal(means["total"])
                self._log({"rate": self.learning_rate()} | means)
                recent = []
            if self.progress["step"] % self.run.checkpoint_every == 0:
                self._save()
            if self.progress["step"] % self.run.validate_every == 0:
                self._log({"validation": self.validate().report()})
                clock = time.monotonic()
            if self.part >= 1.0:
                break
        self._save()

    def _batches(self) -> Iterator[Batch]:
        """Yield the batches from the current step on, each made while the step before it runs."""
        heads: dict[str, Head] = {}

        def draw(step: int) -> Batch:
            if step % 100 == 0 or not heads:  # the folder may still be filling
                heads.update({head.name: head for head in _to_learn_from(self.run.heads, heads)})
            return batch(list(heads.values()), self.run.shape, np.random.default_rng([self.run.seed, step]))

        with ThreadPoolExecutor(1) as pool:
            step = int(self.progress["step"])
            following = pool.submit(draw, step)
            while True:
                drawn = following.result()
                step += 1
                following = pool.submit(draw, step)
                yield drawn

    def validate(self, count: int | None = None) -> Quality:
        """Return the detector's quality on the (first `count`) stored validation heads."""
        heads = stored(self.run.validation)[:count]
        return quality(detector_run(self.detector), seen(heads))

    def _log(self, entry: dict[str, Any]) -> None:
        """Append one line to the run's log."""
        line = {"step": int(self.progress["step"]), "seconds": round(self.progress["seconds"], 1)} | {
            name: round(value, 5) if isinstance(value, float) else value for name, value in entry.items()
        }
        with (self.run.folder / "log.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        log.info("%s", json.dumps(line))

    def _save(self) -> None:
        """Write a checkpoint, and the weights on their own for whoever wants to look at a run in progress."""
        self._checkpoint.write(str(self.checkpoint))
        (self.run.folder / "progress.json").write_text(json.dumps(self.progress))
        self.detector.save_weights(self.run.folder / "latest.weights.h5")

    def _restore(self) -> None:
        """Go on from the checkpoint of an earlier call, if there is one."""
        progress = self.run.folder / "progress.json"
        if progress.exists():
            self._checkpoint.read(str(self.checkpoint)).assert_consumed()
            self.progress = json.loads(progress.read_text())
            log.info("going on from step %d", self.progress["step"])


def _to_learn_from(folder: Path, known: Collection[str]) -> list[Head]:
    """Return the heads in `folder` whose names are not `known`.

    Raises
    ------
    ValueError
        If one is of a population that is kept for figures: a mechanism that was learnt from proves nothing.
    """
    heads = [head for head in stored(folder) if head.name not in known]
    for head in heads:
        if head.scan.population in HELD_OUT:
            raise ValueError(f"{head.name} in {folder} is of the population {head.scan.population}, kept for figures")
    return heads


def seen(heads: Iterable[Head]) -> Iterator[Study]:
    """Yield each head as its own scanner sees it, one at a time; the thickness of its slices passes for their distance.

    The two differ where a scanner's slices overlap, by a quarter at most; which pieces are one lesion is all that
    hangs on it.
    """
    for head in heads:
        hu, labels = head.seen()
        yield Study(hu, labels, (float(np.mean(head.scan.thickness_mm)), *head.scan.pixel_spacing_mm))


def store_weights(detector: Detector, path: Path) -> None:
    """Write a detector's weights to `path` (.weights.h5), small, and give the detector back what was written.

    Kernels are stored in half precision: rounding them changes scores in the fourth place. As the detector takes the
    rounded ones over, what is validated and exported afterwards is what lies in the file.
    """
    whole = path.with_name(f".whole-{path.name}")
    detector.save_weights(whole)
    with h5py.File(whole, "r") as full, h5py.File(path, "w") as small:
        small.attrs.update(full.attrs)

        def copied(name: str, item: Any) -> None:
            if isinstance(item, h5py.Group):
                small.require_group(name).attrs.update(item.attrs)
            else:
                values = item[()]
                kernel = values.ndim > 1
                small.create_dataset(
                    name,
                    data=values.astype(np.float16) if kernel else values,
                    compression="gzip" if kernel else None,
                    shuffle=kernel or None,
                ).attrs.update(item.attrs)

        full.visititems(copied)
    whole.unlink()
    detector.load_weights(path)


def detector_run(detector: Detector) -> Callable[[np.ndarray[Any, Any]], Outputs]:
    """Return a function from one chunk hu [20, 512, 512] to the contract's outputs as arrays."""
    graph = tf.function(
        detector.call, input_signature=[tf.TensorSpec((CHUNK_INPUT_SLICES, MATRIX, MATRIX), tf.float32)]
    )
    return lambda hu: {name: value.numpy() for name, value in graph(tf.constant(hu)).items()}


def provenance(run: Run, command: str, progress: dict[str, float], figures: Quality) -> dict[str, object]:
    """Return where a set of weights comes from, for the file beside them and the exported model."""
    return {
        "variant": run.variant,
        "command": command,
        "data": "simulated head CTs (simulator); no scan of a person was used",
        "training_simulator": stated_simulator(run.heads, MADE_WITH),
        "training_seeds": _ranges(head.seed for head in stored(run.heads)),
        "validation_simulator": stated_simulator(run.validation, MADE_WITH),
        "validation_seeds": _ranges(head.seed for head in stored(run.validation)),
        "seed": run.seed,
        "settings": {k: str(v) if isinstance(v, Path) else v for k, v in asdict(run).items() if v != float("inf")},
        "steps": int(progress["step"]),
        "hours": round(progress["seconds"] / 3600, 2),
        "git_revision": _git_revision(),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "validation": figures.report(),
        "suggested_threshold": figures.threshold,
    }


def _ranges(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Return the runs of consecutive numbers as (first, last)."""
    runs: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs


def _git_revision() -> str:
    """Return the revision of the code, with a "+" when files that git knows have been changed since."""
    described = subprocess.run(
        ["git", "describe", "--always", "--abbrev=12", "--dirty=+"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip() or "unknown"
