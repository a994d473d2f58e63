# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m training.burst`: some minutes of a GPU, used whole.

python -m training.burst --minutes 8 --out burst            train `edge` on and `full` at once
python -m training.burst --minutes 0 --time full --out burst   only time the reading of a study
python -m training.burst --rehearse --out burst                 all of it on a processor, at a tiny size

It runs on Keras with JAX: what is in environments/burst.in, and JAX's packages for CUDA. Heads are made, batches drawn
and networks trained at the same time; the weights are averages, as the long run publishes them, and at the end some
validation heads are read with them. A rehearsal shows that everything runs; its weights and figures mean nothing.
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
from typing import Final

from training.batches import Shape
from training.burst.drawers import FIRST_SEED, SEEDS_A_BURST, SHARES, Supply, start_drawers
from training.burst.reader import LEAST_VALIDATED, Reader
from training.burst.slots import Slots
from training.heads import own_revision
from training.provenance import describe_command, git_revision

REHEARSAL: Final = {"minutes": 0.1, "slabs": 1, "targets": 1, "size": 64, "drawers": 1, "first": 2, "validation": 2}
"""What a rehearsal has in place of the options of these names."""
REHEARSED_STEPS: Final = 3
REHEARSED_SIDE: Final = 256


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
    parser.add_argument("--validation", type=int, default=24, help="heads to read at the end, fewer in a short burst")
    parser.add_argument("--rehearse", action="store_true", help="all of it on a processor, in minutes, at a tiny size")
    given = parser.parse_args(arguments)
    if given.validation < LEAST_VALIDATED:
        parser.error(f"--validation is {LEAST_VALIDATED} or more: a head with blood and one without")
    if given.rehearse:
        os.environ["JAX_PLATFORMS"] = "cpu"
        vars(given).update(REHEARSAL)
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
            pupils = [pupil.partition("=") for pupil in given.pupil]
            slots = Slots(shape, 2 * given.drawers, context)
            supply = Supply(first=given.first)
            place = Path(heads)
            drawers = start_drawers(given.drawers, given.number, place, given.out, shape, slots, supply, context)
            reader = Reader([name for name, *_ in pupils], place, given.out, given.validation, context)

        from rich.console import Console

        from training.burst.run import Burst, Pupil, compute_in_half_precision, run
        from training.burst.timing import MATRIX_SIDE, RUNS, time_reading
        from training.comparison import table

        if not given.single:
            compute_in_half_precision()
        for variant in given.time:
            figures = time_reading(variant, *((1, REHEARSED_SIDE) if given.rehearse else (RUNS, MATRIX_SIDE)))
            (given.out / f"time-{variant}.json").write_text(json.dumps(figures, indent=2) + "\n")
            print(json.dumps(figures), flush=True)
        if given.minutes > 0:
            told = {
                "command": describe_command("training.burst", sys.argv[1:] if arguments is None else arguments),
                "data": "simulated head CTs (simulator); no scan of a person was used",
                "training_simulator": own_revision(),
                "training_seeds": f"from {FIRST_SEED + given.number * SEEDS_A_BURST:,}, {SEEDS_A_BURST:,} at most",
                "populations": {population.name: share for population, share in SHARES},
                "git_revision": git_revision(),
            }
            burst = Burst(
                tuple(Pupil(name, Path(start) if start else None, given.rate) for name, _, start in pupils),
                given.out,
                given.minutes,
                shape,
                least=REHEARSED_STEPS if given.rehearse else 0,
            )
            told, rows = run(burst, slots, told, reader, lambda: any(drawer.is_alive() for drawer in drawers))
            print(json.dumps(told), flush=True)
            Console(width=120).print(table(rows))
        made = len(list(Path(heads).glob("*/*.json")))
        print(f"{made} heads were made")
        for drawer in drawers:
            drawer.kill()
            drawer.join()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
