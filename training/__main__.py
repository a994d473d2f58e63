# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m training`: simulate heads, train a detector, judge its weights.

python -m training heads --cache var/training --count 200
python -m training train --variant edge --cache var/training --minutes 70
python -m training validate --variant edge --cache var/training
python -m training long start
python -m training heads --cache var/training --count 0 --validation 0 --held-out 50
python -m training validate --heads var/training/held-out --weights one.weights.h5 other.weights.h5
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import track

from simulator.manifest import read as read_manifest
from simulator.population import POPULATIONS, REALISTIC, TRAINING
from simulator.recipes import HELD_OUT, TRAINING_SEEDS, held_out_seeds
from training import manifest_heads
from training.checkpoints import Checkpoints
from training.heads import FIRST_TRAINING_SEED, FIRST_VALIDATION_SEED, claim_for_heads, find_heads, make
from training.history import draw, entries, table
from training.lock import holder
from training.long_run import FOLDER, Places, begin_last_part, keep, start, stop, watch_for_stop
from training.pool import Pool, Sizes, make_without_end
from training.provenance import describe_command

log = logging.getLogger(__name__)

LAST_STEPS: Final = 4000
"""Of the last part of a run, where no number is given."""
WEIGHTS = Path(__file__).parent / "weights"


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m training", description=(__doc__ or "").split("\n\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)

    heads = commands.add_parser("heads", help="simulate the heads to train and to validate on")
    heads.add_argument("--count", type=int, default=200, help="training heads")
    heads.add_argument("--validation", type=int, default=20, help="validation heads")
    heads.add_argument("--first-seed", type=int, default=FIRST_TRAINING_SEED, help="of the training heads")
    heads.add_argument("--held-out", type=int, default=0, help="heads of each population that training never draws")
    heads.add_argument("--population", default=TRAINING.name, choices=tuple(POPULATIONS), help="of the training heads")
    heads.add_argument("--manifest", help="heads of a manifest in place of these; one in ten is validated on")
    heads.add_argument("--store", type=Path, help="where a manifest's heads lie; default: in the cache")
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

    train.add_argument("--out", type=Path, help="folder of the weights; default: the run's, in the cache")
    train.add_argument("--bf16", action="store_true", help="convolutions in bfloat16: faster on CPUs that know it")

    validate = commands.add_parser("validate", help="the quality of weights, or of several beside one another")
    validate.add_argument("--weights", type=Path, nargs="+", help="of one variant; default: its committed ones")
    validate.add_argument(
        "--heads", type=Path, nargs="+", help="folders of heads to read; default: validation in the cache"
    )
    validate.add_argument("--json", action="store_true", help="the figures and every head's score as JSON")

    long = commands.add_parser("long", help="the run without end: start, stop, status, publish")
    long.add_argument("part", choices=("start", "stop", "status", "publish", "keep", "train", "heads"))
    long.add_argument("--folder", type=Path, default=FOLDER, help="where all of the run lies")
    long.add_argument("--json", action="store_true", help="the status as JSON")
    ending = long.add_mutually_exclusive_group()
    ending.add_argument(
        "--whole-slices",
        type=int,
        nargs="?",
        const=LAST_STEPS,
        metavar="STEPS",
        help=f"start: end the run with so many steps on whole slices, {LAST_STEPS:,} if no number is given",
    )
    ending.add_argument("--crops", action="store_true", help="start: give the last part up and go on with crops")

    for command in (heads, train, validate):
        command.add_argument("--cache", type=Path, default=Path("var/training"), help="where heads and runs lie")
    for command in (train, validate):
        command.add_argument("--variant", default="edge", choices=("edge", "full"))
        command.add_argument("--threads", type=int, default=0, help="0: one a core")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    told = describe_command("training", sys.argv[1:] if arguments is None else arguments)

    try:
        if given.command == "heads":
            return _heads(given)
        if given.command == "long":
            return _long(given, told)
        return _train(given, told) if given.command == "train" else _validate(given)
    except (ValueError, TimeoutError) as error:
        parser.error(str(error))


def _heads(given: argparse.Namespace) -> int:
    """Make the heads to learn from and to judge on; report the seeds without a head.

    Of a manifest a few heads may be missing: one that cannot be drawn does not end a cross-validation.
    """
    if given.manifest:
        entries = read_manifest(given.manifest)
        store = given.store or given.cache / "store"
        lacking = manifest_heads.make(store, given.cache, entries, given.workers)
        ended = _report_failed(lacking)
        return 0 if manifest_heads.is_enough(entries, lacking) else ended
    learnt = range(given.first_seed, given.first_seed + given.count)
    if given.count and not (learnt[0] in TRAINING_SEEDS and learnt[-1] in TRAINING_SEEDS):
        raise ValueError(f"training has the seeds {TRAINING_SEEDS[0]:,} to {TRAINING_SEEDS[-1]:,}, not {learnt}")
    most = len(held_out_seeds(HELD_OUT[0]))
    if given.held_out > most:
        raise ValueError(f"a held-out population has seeds for {most:,} heads, not {given.held_out:,}")
    wanted = [
        (given.cache / "validation", FIRST_VALIDATION_SEED, given.validation, REALISTIC.name),
        (given.cache / "heads", given.first_seed, given.count, given.population),
        *((given.cache / "held-out", held_out_seeds(name)[0], given.held_out, name) for name in HELD_OUT),
    ]
    wanted = [one for one in wanted if one[2]]
    for folder, *_ in wanted:  # before any work, so that a refusal does not come after an hour
        claim_for_heads(folder)
    failed: dict[int, BaseException] = {}
    for folder, first, count, name in wanted:
        failed |= make(folder, first, count, given.workers, POPULATIONS[name])
    return _report_failed({f"seed {seed}": error for seed, error in failed.items()})


def _report_failed(failed: Mapping[str, BaseException]) -> int:
    """Say which heads could not be made, and return the exit status."""
    for name, error in failed.items():
        print(f"failed: {name}: {type(error).__name__}: {error}", file=sys.stderr)
    return 1 if failed else 0


def _long(given: argparse.Namespace, command: str) -> int:
    """Start, stop, show or publish the long run, or be one of its processes (keep, train, heads)."""
    places = Places(given.folder.absolute())
    match given.part:
        case "start":
            if (keeper := holder(places.pid)) is not None and (given.crops or given.whole_slices is not None):
                raise ValueError(f"process {keeper} trains already; stop it first")
            if given.crops:
                places.last_part.unlink(missing_ok=True)
            if given.whole_slices is not None:
                begin_last_part(places, given.whole_slices)
            print(f"the long run is process {start(places)}, in {places.folder}")
        case "stop":
            print(_describe_end(stop(places), places))
        case "status":
            _status(places, given.json)
        case "keep":
            keep(places)
        case "heads":
            os.setpriority(os.PRIO_PROCESS, 0, 19)
            parent = os.getppid()
            for made in make_without_end(Pool(places.pool), places.validation, Sizes(), places.step):
                logging.info("made a head for %s", made)
                if os.getppid() != parent:  # the keeper was killed
                    return 1
        case _:
            import tensorflow as tf

            from training.long_trainer import publish, train

            tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": True})
            if given.part == "train":
                train(places, watch_for_stop(), Sizes())
            else:
                print(json.dumps(publish(places, command), indent=2))
    return 0


def _describe_end(keeper: int | None, places: Places) -> str:
    """Return a sentence about a run whose keeper was ended; None if there was none."""
    if keeper is None:
        return "no long run is going on"
    newest = Checkpoints(places.run / "checkpoints").newest_step()
    if newest is None:
        return f"process {keeper} has ended before the training began: there is no checkpoint"
    return f"process {keeper} has ended; the newest checkpoint is of step {newest:,}"


def _status(places: Places, as_json: bool) -> None:
    """Print the progress of the long run, and draw its history beside its log."""
    lines = entries(places.log)
    plot = places.run / "history.png"
    if lines:
        draw(lines, plot)
    validations = [line for line in lines if "validation" in line]
    state = {
        "process": holder(places.pid),
        "folder": str(places.folder),
        "step": places.step(),
        "hours": round(max((line["seconds"] for line in lines), default=0.0) / 3600, 2),
        "heads": len(find_heads(places.pool)),
        "validation_heads": len(find_heads(places.validation)),
        "newest_validation": validations[-1] if validations else None,
        "plot": str(plot) if lines else None,
    }
    if as_json:
        print(json.dumps(state | {"log": lines}, indent=2))
        return
    shown = Console()
    shown.width = max(shown.width, 110)
    shown.print(table(lines))
    going = f"goes on as process {state['process']}" if state["process"] else "is not going on (`make train` starts it)"
    shown.print(
        f"The long run {going}: step {state['step']:,}, {state['hours']} hours, {state['heads']} heads to learn"
    )
    shown.print(f"from, {state['validation_heads']} to validate on, in {places.folder}. Plot: {state['plot']}")


def _train(given: argparse.Namespace, command: str) -> int:
    """Train, and write weights and provenance to the given place, by default beside the run's checkpoints."""
    import tensorflow as tf

    from training.batches import Shape
    from training.provenance import provenance
    from training.train import Run, Trainer

    if given.threads:
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
    out: Path = given.out or run.folder
    out.mkdir(parents=True, exist_ok=True)
    trainer.settle(out / f"{given.variant}.weights.h5")
    if (figures := trainer.validate()) is None:
        raise ValueError(f"there are no heads in {run.validation} to validate on")
    origin = provenance(run, command, trainer.progress, figures)
    (out / f"{given.variant}.json").write_text(json.dumps(origin, indent=2) + "\n")
    print(json.dumps(figures.report(), indent=2))
    log.info("weights and provenance are in %s", out)
    return 0


def _validate(given: argparse.Namespace) -> int:
    """Print the quality of weights on heads, by population; several weights beside one another."""
    files = given.weights or [WEIGHTS / f"{given.variant}.weights.h5"]
    if missing := [str(path) for path in files if not path.is_file()]:
        raise ValueError(f"there are no weights {' and '.join(missing)}")
    if len(set(files)) < len(files):
        raise ValueError("the same weights are named twice")

    import tensorflow as tf

    from appliance.reading.detections import Run
    from simulator.revision import stated_simulator
    from training.comparison import compare
    from training.comparison import table as beside_one_another
    from training.heads import MADE_WITH
    from training.network.detector import Detector
    from training.network.variants import VARIANTS
    from training.reading import Outcome, read, scan_heads, study_score
    from training.train import detector_run

    folders = given.heads or [given.cache / "validation"]
    heads = [head for folder in folders for head in find_heads(folder)]
    if not heads:
        named = " ".join(str(folder) for folder in folders)
        raise ValueError(
            f"no heads in {named}; `python -m training heads` makes some, `--held-out` those kept for figures"
        )
    if given.threads:
        tf.config.threading.set_intra_op_parallelism_threads(given.threads)
    runs: dict[str, Run] = {}
    for path in files:
        detector = Detector(VARIANTS[given.variant])
        detector.build()
        try:
            detector.load_weights(path)
        except (OSError, ValueError) as error:
            raise ValueError(f"{path} holds no weights of the variant {given.variant}: {error}") from error
        runs[str(path)] = detector_run(detector)
    readings: dict[str, list[Outcome]] = {name: [] for name in runs}
    bar = Console(stderr=True)
    for study in track(scan_heads(heads), "reading heads", total=len(heads), console=bar):
        for name, run in runs.items():
            readings[name].append(read(run, study))
    rows = compare(readings, [head.scan.population for head in heads])
    if given.json:
        told = {
            "simulators": {str(folder): stated_simulator(folder, MADE_WITH) for folder in folders},
            "rows": [row.report() for row in rows],
            "heads": [
                {
                    "head": head.name,
                    "population": head.scan.population,
                    "blood_voxels": len(next(iter(readings.values()))[i].places),
                    "scores": {name: study_score(read[i].found) for name, read in readings.items()},
                }
                for i, head in enumerate(heads)
            ],
        }
        print(json.dumps(told, indent=2, allow_nan=False))
    else:
        shown = Console()
        shown.width = max(shown.width, 110)  # narrower it would leave out the intervals
        shown.print(beside_one_another(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
