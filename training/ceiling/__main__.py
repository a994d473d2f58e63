# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m training.ceiling`: how good a detector could be that makes no mistakes.

True blood goes through cutting, anchors, boxes, limits, masks and pasting, without a network.

python -m training.ceiling --studies 48 --seed 1
python -m training.ceiling --cache var/training/heads --json

It needs no TensorFlow (`.venv` is enough) and ends with status 1 if the present targets miss a bar.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from training.ceiling.cost import mask_head_gflop
from training.ceiling.figures import figures, plain
from training.ceiling.passage import Choice, Passage, Stage, follow
from training.ceiling.studies import Order, simulated_orders, stored_orders
from training.ceiling.table import show, show_thin
from training.ceiling.thin import SHAPES, THICKNESSES_PX
from training.instances import TAUGHT
from training.network.variants import VARIANTS

WIDTH: Final = 110
TODAY: Final = Choice("as taught")
CHOICES: Final = (
    TODAY,
    Choice("mask 28", mask_size=28),
    Choice("mask 56", mask_size=56),
    Choice("mask 112", mask_size=112),
    Choice("cut at 64 px", replace(TAUGHT, longest_px=64)),
    Choice("cut at 96 px", replace(TAUGHT, longest_px=96)),
    Choice("cut at 128 px", replace(TAUGHT, longest_px=128)),
    Choice("not cut", replace(TAUGHT, longest_px=math.inf)),
    Choice("not cut, mask 28", replace(TAUGHT, longest_px=math.inf), mask_size=28),
    Choice("join 0 px", replace(TAUGHT, join_px=0)),
    Choice("join 3 px", replace(TAUGHT, join_px=3)),
    Choice("join 6 px", replace(TAUGHT, join_px=6)),
    Choice("all specks", replace(TAUGHT, speck_px=1)),
)


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m training.ceiling",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--studies", type=int, default=None, help="how many (default: 48, or all of --cache)")
    parser.add_argument("--seed", type=int, default=1, help="of the first study to simulate (default: 1)")
    parser.add_argument("--cache", type=Path, help="heads on disk to read (`python -m training heads`), not simulate")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)")
    parser.add_argument("--json", action="store_true", help="print figures, not tables")
    given = parser.parse_args(arguments)
    try:
        orders = (
            stored_orders(given.cache, given.studies)
            if given.cache
            else simulated_orders(given.studies or 48, given.seed)
        )
    except FileNotFoundError as error:
        parser.error(str(error))

    passages, voxel_ml = [], []
    with Progress(console=Console(stderr=True)) as progress, ProcessPoolExecutor(given.workers) as pool:
        bar = progress.add_task("passing labels through", total=len(orders))
        for of_study, voxel in pool.map(_follow, orders):
            passages.append(of_study)
            voxel_ml.append(voxel)
            progress.advance(bar)
    found = [(choice, figures([one[i] for one in passages], voxel_ml)) for i, choice in enumerate(CHOICES)]
    today = found[0][1]
    thin = _thin()
    if given.json:
        choices = {choice.name: _report(choice, one) for choice, one in found}
        print(json.dumps({"choices": choices, "thin": plain(thin)}, indent=2))
    else:
        console = Console(width=WIDTH)
        show(console, today, found)
        show_thin(console, thin)
    for line in today.missed:
        print(line, file=sys.stderr)
    return 1 if today.missed else 0


def _follow(order: Order) -> tuple[list[Passage], NDArray[np.float64]]:
    """Return a study's passage by each choice, and the mL of a voxel of each of its slices."""
    study = order.labelled()
    return follow(study.labels, list(CHOICES), np.random.default_rng(order.seed)), study.voxel_ml


def _thin() -> dict[str, dict[str, float]]:
    """Return by choice the Dice of each thin shape."""
    dice: dict[str, dict[str, float]] = {choice.name: {} for choice in CHOICES}
    for shape, drawn in SHAPES.items():
        for thickness in THICKNESSES_PX:
            passages = follow(drawn(thickness), list(CHOICES), np.random.default_rng(thickness))
            for choice, one in zip(CHOICES, passages, strict=True):
                told, shared = one.told[Stage.SURE].sum(), one.shared[Stage.SURE].sum()
                dice[choice.name][f"{shape} {thickness} px"] = float(2 * shared / (told + one.truth.sum()))
    return dice


def _report(choice: Choice, found: Any) -> dict[str, Any]:
    """Return one choice and its figures as plain values."""
    gflop = {name: mask_head_gflop(variant, choice.mask_size) for name, variant in VARIANTS.items()}
    report: dict[str, Any] = plain({"choice": asdict(choice), **asdict(found), "mask_head_gflop": gflop})
    return report


if __name__ == "__main__":
    sys.exit(main())
