# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Cross-validation as the paper did it: five networks, each judged on the fifth of the studies that it never saw."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from simulator.manifest import Entry, write

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


def train_fold(folder: Path, learn: Sequence[Entry], judge: Sequence[Entry], command: str | None) -> Path:
    """Return the ONNX file of a fold in `folder`; where it is missing, `command` trains it first.

    The manifests `learn.csv` and `judge.csv` are written there. In the command `{learn}` is the manifest to learn from,
    `{fold}` the folder and `{model}` the ONNX file to write.

    Raises
    ------
    ValueError
        If there is no model and no command, or the command fails or writes no model.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write(learn, folder / LEARN)
    write(judge, folder / JUDGE)
    model = folder / MODEL
    if model.exists():
        return model
    if command is None:
        raise ValueError(f"{model} is missing: train on {folder / LEARN} and export it there, or give --train")
    told = shlex.split(command.format(learn=folder / LEARN, fold=folder, model=model))
    ended = subprocess.run(told, check=False)
    if ended.returncode:
        raise ValueError(f"{shlex.join(told)} ended with the status {ended.returncode}")
    if not model.exists():
        raise ValueError(f"{shlex.join(told)} wrote no {model}")
    return model
