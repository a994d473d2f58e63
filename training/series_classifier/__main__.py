# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m training.series_classifier`: make its examples, then train it.

.venv/bin/python -m training.series_classifier examples --seeds 7000000 7000080
.venv-training/bin/python -m training.series_classifier train --seeds 7000000 7000080 --validation 7900000 7900016
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from training.provenance import ROOT, describe_command


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m training.series_classifier")
    commands = parser.add_subparsers(dest="command", required=True)
    examples = commands.add_parser("examples", help="simulate series and keep their thumbnails")
    train = commands.add_parser("train", help="train on the thumbnails that are there")
    for command in (examples, train):
        command.add_argument("--seeds", type=int, nargs=2, required=True, metavar=("FIRST", "END"))
        command.add_argument("--folder", type=Path, default=ROOT / "var/training/series")
    train.add_argument("--validation", type=int, nargs=2, required=True, metavar=("FIRST", "END"))
    train.add_argument("--steps", type=int, default=4000)
    train.add_argument("--seed", type=int, default=1)
    train.add_argument("--out", type=Path, help="the file of the weights; default: beside the examples")
    given = parser.parse_args(arguments)
    if given.command == "examples":
        from training.series_classifier.examples import make_examples

        for path in make_examples(range(*given.seeds), given.folder):
            print(path, flush=True)
        return 0
    from training.series_classifier.train import train as run

    run(
        given.folder,
        range(*given.seeds),
        range(*given.validation),
        steps=given.steps,
        seed=given.seed,
        out=given.out or given.folder / "series_classifier.weights.h5",
        command=describe_command("training.series_classifier", sys.argv[1:] if arguments is None else arguments),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
