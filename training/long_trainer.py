# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What the long run trains, where it begins, and how its averaged weights are published with their provenance.

Any machine can continue from published weights. They are not the shipped ones (`training/weights`): validation figures
decide which weights ship.
"""

from __future__ import annotations

import json
import shutil
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from training.batches import Shape
from training.heads import find_heads
from training.history import LOG, draw, entries
from training.long_run import Places
from training.pool import MADE, Sizes
from training.provenance import describe_origin, join_seeds, ranges
from training.train import LastPart, Run, Trainer

VARIANT: Final = "edge"
PUBLISHED: Final = Path(__file__).parent / "run"
SHIPPED: Final = Path(__file__).parent / "weights"
PLOT: Final = "history.png"
_OF_VALIDATION: Final = (
    "validated_at_step",
    "validation_simulators",
    "validation_seeds",
    "validation",
    "suggested_threshold",
)


def settings(places: Places, published: Path = PUBLISHED) -> Run:
    """Return the run's settings; without a checkpoint it begins with the published weights, else with the shipped."""
    weights = f"{VARIANT}.weights.h5"
    return Run(
        variant=VARIANT,
        heads=places.pool,
        validation=places.validation,
        folder=places.run,
        steps=float("inf"),
        start=next((folder / weights for folder in (published, SHIPPED) if (folder / weights).exists()), None),
        shape=Shape(slabs=2, targets=8, size=256),
        rate=3e-4,
        warm_up=500,
        patience=10_000,
        cool_down=0.0,
        validate_every=1000,
        least_validated=20,
        alarms_every=200,
        alarms_of=2,
        missed_of=2,
        last=LastPart(**json.loads(places.last_part.read_text())) if places.last_part.exists() else None,
    )


def train(places: Places, stop: Callable[[], bool], sizes: Sizes, published: Path = PUBLISHED) -> None:
    """Train until asked to stop, once there are heads to learn from."""
    while len(find_heads(places.pool)) < sizes.first:
        if stop():
            return
        time.sleep(1.0)
    if not places.log.exists() and (published / LOG).exists():  # another machine's run goes on here
        places.run.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(published / LOG, places.log)
    Trainer(settings(places, published)).train(stop)


def publish(places: Places, told: str, folder: Path = PUBLISHED) -> dict[str, Any]:
    """Write the averaged weights of the newest checkpoint, their provenance, the log and its plot into `folder`.

    What the provenance there says of heads on earlier machines stays in it. Returns the provenance. The run goes on
    meanwhile.

    Raises
    ------
    ValueError
        If the run has no checkpoint.
    """
    run = settings(places, folder)
    trainer = Trainer(run)
    if not trainer.resumed:
        raise ValueError(f"there is no checkpoint in {places.run} yet")
    lines = [line for line in entries(places.log) if line["step"] <= trainer.progress["step"]]
    described = folder / f"{VARIANT}.json"
    earlier = json.loads(described.read_text()) if described.exists() else {}
    known = earlier.get("training_seeds_by_simulator", {})
    origin = describe_origin(run, told, trainer.progress) | {
        "training_seeds_by_simulator": join_seeds(known, _seeds_by_simulator(places.pool))
    }
    # Of too few heads there is no area under a curve, and no threshold to suggest.
    validations = [line for line in lines if "validation" in line and line["validation"]["auc"] is not None]
    # The heads of an earlier validation may have been another machine's.
    if validations and validations[-1]["step"] == earlier.get("validated_at_step"):
        origin |= {name: earlier[name] for name in _OF_VALIDATION if name in earlier}
    elif validations:
        figures = validations[-1]["validation"]
        origin |= {
            "validated_at_step": validations[-1]["step"],
            "validation_seeds": ranges(head.seed for head in find_heads(places.validation)),
            "validation": figures,
            "suggested_threshold": figures["threshold"],
        }
    folder.mkdir(parents=True, exist_ok=True)
    trainer.settle(folder / f"{VARIANT}.weights.h5")
    described.write_text(json.dumps(origin, indent=2) + "\n")
    (folder / LOG).write_text("".join(json.dumps(line) + "\n" for line in lines))
    draw(lines, folder / PLOT)
    return origin


def _seeds_by_simulator(pool: Path) -> dict[str, list[int]]:
    """Return from which seeds each simulator made heads that were ever in a pool."""
    seeds: dict[str, list[int]] = defaultdict(list)
    for line in entries(pool / MADE):
        seeds[line["simulator"]].append(line["seed"])
    return seeds
