# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m training.burst`: some minutes of a GPU, used whole.

python -m training.burst --minutes 8 --out burst            train `edge` on and `full` at once
python -m training.burst --minutes 0 --time full --out burst   only time the reading of a study

It runs on Keras with JAX, which do not have to be in this project's environments: it only needs keras, jax with CUDA,
numpy, scipy, h5py, pydicom and rich. Heads are made, batches drawn and networks trained at the same time; the weights
are averages, as the long run publishes them.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import sys
import tempfile
from pathlib import Path

from training.batches import Shape
from training.burst.drawers import FIRST_SEED, SEEDS_A_BURST, SHARES, Supply, start_drawers
from training.burst.slots import Slots
from training.heads import own_revision
from training.provenance import describe_command, git_revision


def main(arguments: list[str] | None = None) -> int:
    """Run a burst and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m training.burst", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of weights, logs and figures")
    parser.add_argument("--minutes", type=float, default=8.0, help="of training, compiling included")
    parser.add_argument(
        "--pupil",
        nargs="+",
        default=["edge=training/run/edge.weights.h5", "full"],
        help="variants to train, each with the weights that it begins with",
    )
    parser.add_argument("--rate", type=float, default=4e-4, help="learning rate at its height")
    parser.add_argument("--slabs", type=int, default=8, help="crops in a batch")
    parser.add_argument("--targets", type=int, default=8, help="slices of a crop that are learnt")
    parser.add_argument("--size", type=int, default=256, help="rows and columns of a crop")
    parser.add_argument("--drawers", type=int, default=max(1, (os.cpu_count() or 2) - 1), help="processes")
    parser.add_argument("--first", type=int, default=Supply.first, help="heads a process makes before its first batch")
    parser.add_argument("--number", type=int, default=0, help="of the burst: each has seeds of its own")
    parser.add_argument("--time", nargs="*", default=[], metavar="VARIANT", help="variants whose reading is timed")
    parser.add_argument("--single", action="store_true", help="compute in fp32, not in bfloat16")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    given.out.mkdir(parents=True, exist_ok=True)
    # Before any thread: the drawers are forked, and JAX must not be.
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = "1"
    os.environ["KERAS_BACKEND"] = "jax"
    with tempfile.TemporaryDirectory(prefix="burst-") as heads:
        shape = Shape(given.slabs, given.targets, given.size)
        drawers = []
        if given.minutes > 0:
            context = multiprocessing.get_context("fork")
            slots = Slots(shape, 2 * given.drawers, context)
            supply = Supply(first=given.first)
            drawers = start_drawers(given.drawers, given.number, Path(heads), shape, slots, supply, context)

        from training.burst.run import Burst, Pupil, compute_in_half_precision, run
        from training.burst.timing import time_reading

        if not given.single:
            compute_in_half_precision()
        for variant in given.time:
            figures = time_reading(variant)
            (given.out / f"time-{variant}.json").write_text(json.dumps(figures, indent=2) + "\n")
            print(json.dumps(figures), flush=True)
        if given.minutes > 0:
            pairs = [pupil.partition("=") for pupil in given.pupil]
            pupils = tuple(Pupil(name, Path(start) if start else None, given.rate) for name, _, start in pairs)
            told = {
                "command": describe_command("training.burst", sys.argv[1:] if arguments is None else arguments),
                "data": "simulated head CTs (simulator); no scan of a person was used",
                "training_simulator": own_revision(),
                "training_seeds": f"from {FIRST_SEED + given.number * SEEDS_A_BURST:,}, {SEEDS_A_BURST:,} at most",
                "populations": {population.name: share for population, share in SHARES},
                "git_revision": git_revision(),
            }
            print(json.dumps(run(Burst(pupils, given.out, given.minutes, shape), slots, told)), flush=True)
        made = len(list(Path(heads).glob("*/*.json")))
        print(f"{made} heads were made")
        for drawer in drawers:
            drawer.kill()
            drawer.join()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
