# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Where weights come from, for the file beside them and the exported model.

The file is published: its paths are relative to the repository, and files elsewhere are given only by name.
"""

from __future__ import annotations

import datetime
import shlex
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from simulator.revision import stated_simulator
from training.heads import MADE_WITH, find_heads

if TYPE_CHECKING:
    from training.reading import Quality
    from training.train import Run

ROOT: Final = Path(__file__).parents[1]


def describe_path(path: Path) -> str:
    """Return a path relative to the repository's root, or only the name of a file outside it."""
    if not path.is_absolute():
        return path.as_posix()
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name


def describe_command(module: str, arguments: Sequence[str]) -> str:
    """Return the command line that ran a module of ours with some arguments."""
    return shlex.join(["python", "-m", module, *(_describe_argument(argument) for argument in arguments)])


def describe_origin(run: Run, command: str, progress: dict[str, float]) -> dict[str, object]:
    """Return how weights were trained, apart from the heads they learnt from and were judged on."""
    settings = {name: describe_path(value) if isinstance(value, Path) else value for name, value in asdict(run).items()}
    return {
        "variant": run.variant,
        "command": command,
        "data": "simulated head CTs (simulator); no scan of a person was used",
        "seed": run.seed,
        "settings": {name: value for name, value in settings.items() if value != float("inf")},
        "steps": int(progress["step"]),
        "hours": round(progress["seconds"] / 3600, 2),
        "git_revision": git_revision(),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
    }


def provenance(run: Run, command: str, progress: dict[str, float], figures: Quality) -> dict[str, object]:
    """Return the origin of weights: how they were trained, on which heads, and how good they are on other heads."""
    return describe_origin(run, command, progress) | {
        "training_simulator": stated_simulator(run.heads, MADE_WITH),
        "training_seeds": ranges(head.seed for head in find_heads(run.heads)),
        "validation_simulator": stated_simulator(run.validation, MADE_WITH),
        "validation_seeds": ranges(head.seed for head in find_heads(run.validation)),
        "validation": figures.report(),
        "suggested_threshold": figures.threshold,
    }


def join_seeds(
    earlier: Mapping[str, Sequence[Sequence[int]]], seeds: Mapping[str, Iterable[int]]
) -> dict[str, list[tuple[int, int]]]:
    """Return the seeds of heads by simulator, those of an earlier provenance (first, last) and further ones."""
    joined: dict[str, set[int]] = defaultdict(set)
    for simulator, runs in earlier.items():
        joined[simulator].update(seed for first, last in runs for seed in range(first, last + 1))
    for simulator, numbers in seeds.items():
        joined[simulator].update(numbers)
    return {simulator: ranges(numbers) for simulator, numbers in joined.items()}


def ranges(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Return the runs of consecutive numbers as (first, last)."""
    runs: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs


def git_revision() -> str:
    """Return the revision of the code, with a "+" if files that git tracks have changed since.

    "unknown" outside a checkout.
    """
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--dirty=+"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return "unknown"
    return described.stdout.strip() or "unknown"


def _describe_argument(argument: str) -> str:
    option, equals, value = argument.partition("=")
    if option.startswith("--") and equals:
        return f"{option}={describe_path(Path(value))}" if value.startswith("/") else argument
    return describe_path(Path(argument)) if argument.startswith("/") else argument
