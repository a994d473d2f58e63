# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of a training run: each is one file that appears in one step, and the last few are kept.

A kill at any moment leaves only whole files: a checkpoint is written under another name, forced to the disk and then
renamed. If the newest is unreadable nevertheless (a disk that lied), the one before it is used. Arrays are stored by
name, so that a run continues after its network has gained or lost a part.
"""

from __future__ import annotations

import json
import logging
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)

PROGRESS: Final = "progress"
"""The name that holds the run's progress, as JSON; every other name is an array's."""


class Checkpoints:
    """The checkpoints in one folder, of which the newest `most` are kept."""

    def __init__(self, folder: Path, most: int = 3):
        self.folder = folder
        self.most = most

    def save(self, progress: Mapping[str, float], arrays: Mapping[str, NDArray[Any]]) -> Path:
        """Write a checkpoint named after `progress["step"]`, drop the oldest, and return its path."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"step-{int(progress['step']):09d}.npz"
        partial = path.with_name(f".{path.name}.partial")
        stored: dict[str, Any] = {PROGRESS: np.array(json.dumps(dict(progress))), **arrays}
        with partial.open("wb") as file:
            np.savez(file, **stored)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        _force_names(self.folder)
        for old in self.paths()[self.most :]:
            old.unlink()
        return path

    def paths(self) -> list[Path]:
        """Return the whole checkpoints, newest first."""
        return sorted(self.folder.glob("step-*.npz"), reverse=True)

    def newest_step(self) -> int | None:
        """Return the step of the newest checkpoint, None where there is none."""
        paths = self.paths()
        return int(paths[0].stem.removeprefix("step-")) if paths else None

    def newest(self) -> tuple[dict[str, float], dict[str, NDArray[Any]]] | None:
        """Return progress and arrays of the newest checkpoint that can be read, None where there is none."""
        for path in self.paths():
            try:
                with np.load(path) as stored:
                    arrays = {name: stored[name] for name in stored.files if name != PROGRESS}
                    return json.loads(str(stored[PROGRESS])), arrays
            except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
                log.warning("%s cannot be read (%s): the one before it is taken", path, error)
        return None


def _force_names(folder: Path) -> None:
    """Force a folder's names to the disk, so that a renamed file is there after a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
