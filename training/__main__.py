# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m training`: simulate heads, train a detector, judge its weights.

python -m training heads --cache var/training --count 200
python -m training train --variant edge --cache var/training --minutes 70
python -m training validate --variant edge --cache var/training
python -m training heads --cache var/training --count 0 --validation 0 --held-out 50
python -m training validate --heads var/training/held-out --weights one.weights.h5 other.weights.h5
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shlex
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import track

from training.heads import FIRST_TRAINING_SEED, FIRST_VALIDATION_SEED, first_held_out_seed, make
from training.simulator.population import POPULATIONS, REALISTIC, TRAINING
from training.simulator.recipes import HELD_OUT

WEIGHTS = Path(__file__).parent / "weights"


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m training", description=(__doc__ or "").split("\n\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)

    heads = commands.add_parser("heads", help="simulate the heads to train and to validate on")
    heads.add_argument("--count", type=int, default=200, help="training heads")
    heads.add_argument("--validation", type=int, default=20, help="validation heads")
    heads.add_argument("--held-out", type=int, default=0, help="heads of each population that training never draws")
    heads.add_argument("--population", default=TRAINING.name, choices=tuple(POPULATIONS), help="of the training heads")
    heads.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")

    train = commands.add_parser("train", help="train, and write weights with their provenance")
    train.add_argument("--steps", type=int, default=100_000, help="end after this many steps")
    train.add_argument("--minutes", type=float, default=float("inf"), help="or after this many minutes")
    train.add_argument("--seed", type=int, default=1)
    train.add_argument("--rate", type=float, default=2e-4, help="learning rate after the warm-up")
    train.add_argument("--slabs", type=int, default=2, help="crops in a batch")
    train.add_argument("--targets", type=int, default=4, help="slices of a crop that are learnt")
    train.add_argument("--size", type=int, default=256, help="rows and columns of a crop")
    train.add_argument("--cool-down", type=float, default=0.25, help="share of the run in which the rate falls")
    train.add_argument("--validate-every", type=int, default=2000, help="steps between validations")

    train.add_argument("--bf16", action="store_true", help="convolutions in bfloat16: faster on CPUs that know it")

    validate = commands.add_parser("validate", help="the quality of weights, or of several beside one another")
    validate.add_argument("--weights", type=Path, nargs="+", help="default: the committed weights of the variant")
    validate.add_argument("--heads", type=Path, help="the folder of heads to read; default: validation in the cache")
    validate.add_argument("--json", action="store_true", help="the figures and every head's score as JSON")

    for command in (heads, train, validate):
        command.add_argument("--cache", type=Path, default=Path("var/training"), help="where heads and runs lie")
    for command in (train, validate):
        command.add_argument("--variant", default="edge", choices=("edge", "full"))
        command.add_argument("--threads", type=int, default=0, help="0: one a core")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    told = shlex.join(["python", "-m", "training", *(sys.argv[1:] if arguments is None else arguments)])

    if given.command == "heads":
        try:
            return _heads(given)
        except ValueError as error:
            parser.error(str(error))
    return _train(given, told) if given.command == "train" else _validate(given)


def _heads(given: argparse.Namespace) -> int:
    """Make the heads to learn from and to judge on; say of which seeds there are none."""
    validation, heads = given.cache / "validation", given.cache / "heads"
    failed = make(validation, FIRST_VALIDATION_SEED, given.validation, given.workers, REALISTIC)
    failed |= make(heads, FIRST_TRAINING_SEED, given.count, given.workers, POPULATIONS[given.population])
    for name in HELD_OUT if given.held_out else ():
        first = first_held_out_seed(name)
        failed |= make(given.cache / "held-out", first, given.held_out, given.workers, POPULATIONS[name])
    for seed, error in failed.items():
        print(f"failed: seed {seed}: {type(error).__name__}: {error}", file=sys.stderr)
    return 1 if failed else 0


def _train(given: argparse.Namespace, told: str) -> int:
    """Train and write the weights of the variant."""
    import tensorflow as tf

    from training.batches import Shape
    from training.train import Run, Trainer, provenance, store_weights

    tf.config.threading.set_intra_op_parallelism_threads(given.threads)
    if given.bf16:
        tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": True})
    run = Run(
        variant=given.variant,
        heads=given.cache / "heads",
        validation=given.cache / "validation",
        folder=given.cache / f"run-{given.variant}",
        steps=given.steps,
        minutes=given.minutes,
        seed=given.seed,
        rate=given.rate,
        shape=Shape(given.slabs, given.targets, given.size),
        cool_down=given.cool_down,
        validate_every=given.validate_every,
    )
    trainer = Trainer(run)
    trainer.train()
    WEIGHTS.mkdir(exist_ok=True)
    store_weights(trainer.detector, WEIGHTS / f"{given.variant}.weights.h5")
    figures = trainer.validate()
    origin = provenance(run, told, trainer.progress, figures)
    (WEIGHTS / f"{given.variant}.json").write_text(json.dumps(origin, indent=2) + "\n")
    print(json.dumps(figures.report(), indent=2))
    return 0


def _validate(given: argparse.Namespace) -> int:
    """Print the quality of weights on heads, by population; several weights beside one another."""
    import tensorflow as tf

    from training.comparison import compared, table
    from training.heads import stored
    from training.network.detector import Detector
    from training.network.variants import VARIANTS
    from training.reading import Reading, Run, read, study_score
    from training.train import detector_run, seen

    folder = given.heads or given.cache / "validation"
    heads = stored(folder)
    if not heads:
        print(f"no heads in {folder}; `python -m training heads` makes some", file=sys.stderr)
        return 1
    if given.threads:
        tf.config.threading.set_intra_op_parallelism_threads(given.threads)
    runs: dict[str, Run] = {}
    for path in given.weights or [WEIGHTS / f"{given.variant}.weights.h5"]:
        detector = Detector(VARIANTS[given.variant])
        detector.build()
        detector.load_weights(path)
        runs[str(path)] = detector_run(detector)
    readings: dict[str, list[Reading]] = {name: [] for name in runs}
    bar = Console(stderr=True)
    for study in track(seen(heads), "reading heads", total=len(heads), console=bar):
        for name, run in runs.items():
            readings[name].append(read(run, study))
    rows = compared(readings, [head.scan.population for head in heads])
    if given.json:
        scores = {
            name: {head.name: round(study_score(one.found), 5) for head, one in zip(heads, told, strict=True)}
            for name, told in readings.items()
        }
        print(json.dumps({"rows": [row.report() for row in rows], "scores": scores}, indent=2))
    else:
        Console().print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
