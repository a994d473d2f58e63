# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A burst from end to end at a tiny size, on a processor, where `make rehearse` has made its environment."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("tensorflow", reason="needs the training environment")

from training.network.detector import Detector
from training.network.variants import VARIANTS

pytestmark = pytest.mark.training

ROOT = Path(__file__).parents[3]
PYTHON = ROOT / ".venv-burst" / "bin" / "python"


@pytest.mark.skipif(not PYTHON.exists(), reason="`make rehearse` makes the environment of a burst")
def test_a_rehearsal_trains_and_validates_both_networks_and_their_weights_load_here(tmp_path: Path) -> None:
    ended = subprocess.run(
        [PYTHON, "-m", "training.burst", "--rehearse", "--out", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert "Simulated heads alone" in ended.stdout
    for variant in ("edge", "full"):
        told = json.loads((tmp_path / f"{variant}.json").read_text())
        assert told["steps_of_the_burst"] >= 3
        assert told["batches"] + told["mirrored"] >= 3
        assert (told["validation"]["studies"], told["validation"]["with_blood"]) == (2, 1)
        assert told["validation_seeds"] == [[2_000_000, 2_000_001]]
        detector = Detector(VARIANTS[variant])
        detector.build()
        detector.load_weights(tmp_path / f"{variant}.weights.h5")
