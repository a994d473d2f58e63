# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of a run, which a kill at any moment leaves whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from training.checkpoints import Checkpoints


def test_the_newest_checkpoint_comes_back_and_the_oldest_go(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, most=2)
    for step in (1, 20, 300):
        checkpoints.save({"step": step, "best": float("inf")}, {"a/kernel": np.full((2, 3), step, np.float32)})
    assert [path.name for path in checkpoints.paths()] == ["step-000000300.npz", "step-000000020.npz"]
    found = checkpoints.newest()
    assert found is not None
    progress, arrays = found
    assert progress == {"step": 300, "best": float("inf")}
    np.testing.assert_array_equal(arrays["a/kernel"], np.full((2, 3), 300, np.float32))


@pytest.mark.parametrize("left", [0, 100, -1])
def test_a_checkpoint_that_cannot_be_read_gives_way_to_the_one_before_it(left: int, tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save({"step": 1}, {"a": np.arange(1000)})
    newest = checkpoints.save({"step": 2}, {"a": np.arange(1000)})
    newest.write_bytes(newest.read_bytes()[:left])
    found = checkpoints.newest()
    assert found is not None
    assert found[0] == {"step": 1}


def test_a_folder_without_checkpoints_has_no_newest(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "none").newest() is None


WRITER = """
import sys, itertools, numpy as np
from pathlib import Path
from training.checkpoints import Checkpoints
for step in itertools.count(1):
    Checkpoints(Path(sys.argv[1])).save({"step": step}, {"a": np.full(500_000, step), "b": np.full(500_000, -step)})
"""


def test_a_kill_while_checkpoints_are_written_leaves_a_whole_one(tmp_path: Path) -> None:
    for kill in range(4):
        folder = tmp_path / str(kill)
        with subprocess.Popen([sys.executable, "-c", WRITER, str(folder)]) as writer:
            while not list(folder.glob("step-*")):
                assert writer.poll() is None
                time.sleep(0.01)
            time.sleep(0.013 * kill)
            os.kill(writer.pid, signal.SIGKILL)
        found = Checkpoints(folder).newest()
        assert found is not None
        progress, arrays = found
        assert set(arrays["a"]) == {progress["step"]}
        assert set(arrays["b"]) == {-progress["step"]}
        assert int(Checkpoints(folder).paths()[0].stem.removeprefix("step-")) == progress["step"]
