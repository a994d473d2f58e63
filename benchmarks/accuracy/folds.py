# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Cross-validation as the paper did it: five networks, each judged on the fifth of the studies that it never saw."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from simulator.manifest import Entry, write

ROOT: Final = Path(__file__).parents[2]
PYTHON: Final = ROOT / ".venv-training" / "bin" / "python"
"""Of the environment that trains and exports."""
STORE: Final = "heads"
MODEL: Final = "model.onnx"
LEARN: Final = "learn.csv"
JUDGE: Final = "judge.csv"


def split(entries: Sequence[Entry], folds: int) -> list[tuple[tuple[Entry, ...], tuple[Entry, ...]]]:
    """Return for each fold the studies to learn from and those to judge on.

    A head stays whole: the same seed with and without blood is never on both sides. Findings are spread evenly.

    Raises
    ------
    ValueError
        If there are fewer heads than folds, or a diagnosis has fewer studies than folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    kinds = [str(entry.diagnosis) for entry in entries]
    heads = [entry.seed for entry in entries]
    rare = [kind for kind in set(kinds) if kinds.count(kind) < folds]
    if rare or len(set(heads)) < folds:
        raise ValueError(
            f"{folds} folds need at least as many studies of each diagnosis; there are too few {', '.join(rare)}"
        )
    made = StratifiedGroupKFold(folds, shuffle=True, random_state=1).split(np.zeros(len(kinds)), kinds, heads)
    return [(tuple(entries[i] for i in learn), tuple(entries[i] for i in judge)) for learn, judge in made]


def training_commands(folder: Path, steps: int, python: Path = PYTHON) -> list[list[str]]:
    """Return the commands that train a fold in `folder` and export its ONNX file there.

    The heads of all folds lie in one store beside the folds' folders. One in ten of those to learn from is validated on
    and suggests the network's threshold. A network that is hardly trained is exported too: it is judged by the ONNX
    file, whichever detections rounding keeps there. Each command continues where it was stopped.

    Raises
    ------
    ValueError
        If the environment of the training is missing.
    """
    if not python.is_file():
        raise ValueError(f"{python} is missing; `make environments` installs what trains a network")
    run = [str(python), "-m"]
    learn, store, weights = folder / LEARN, folder.parent / STORE, folder / "edge.weights.h5"
    return [
        [*run, "training", "heads", "--manifest", str(learn), "--store", str(store), "--cache", str(folder)],
        [*run, "training", "train", "--steps", str(steps), "--cache", str(folder), "--out", str(folder)],
        [*run, "conversion", "export", "--for-figures", "--weights", str(weights), "--out", str(folder / MODEL)],
    ]


def given_command(folder: Path, command: str) -> list[list[str]]:
    """Return a command of the user's with its places filled in: `{learn}`, `{fold}` and `{model}`."""
    return [shlex.split(command.format(learn=folder / LEARN, fold=folder, model=folder / MODEL))]


def train_fold(folder: Path, learn: Sequence[Entry], judge: Sequence[Entry], commands: Sequence[Sequence[str]]) -> Path:
    """Return the ONNX file of a fold in `folder`; where it is missing, `commands` make it, one after the other.

    The manifests `learn.csv` and `judge.csv` are written there.

    Raises
    ------
    ValueError
        If there is no model and no command, or a command fails, or none writes the model. A folder of another split is
        refused too, with a model or without one: its heads, checkpoints or model are of studies to be judged now.
    """
    model = folder / MODEL
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / f"{LEARN}.new"
    write(learn, new)
    if (folder / LEARN).exists() and (folder / LEARN).read_bytes() != new.read_bytes():
        new.unlink()
        raise ValueError(f"{folder} was begun with other studies to learn from; take another --out, or remove it")
    new.replace(folder / LEARN)
    write(judge, folder / JUDGE)
    if model.exists():
        return model
    if not commands:
        raise ValueError(
            f"{model} is missing: give --steps to train it here, give --train, or train on {folder / LEARN} and export "
            "it there"
        )
    for command in commands:
        ended = subprocess.run(command, check=False, cwd=ROOT, stdout=sys.stderr)
        if ended.returncode:
            raise ValueError(f"{shlex.join(command)} ended with the status {ended.returncode}")
    if not model.exists():
        raise ValueError(f"{shlex.join(commands[-1])} wrote no {model}")
    return model
