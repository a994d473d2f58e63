# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A burst on Keras with JAX, where that is installed; no GPU is needed.

Neither is in this project's environments: compiling the step for a processor takes minutes. Run it with any Python that
has keras, jax, scipy, h5py, pydicom, rich and pytest: `KERAS_BACKEND=jax python -m pytest tests/training/burst`.
"""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest

pytest.importorskip("jax", reason="needs Keras with JAX")

from training.batches import Shape
from training.burst.drawers import Supply, start_drawers
from training.burst.run import Burst, Pupil, rate_factor, run
from training.burst.slots import Slots
from training.network.detector import Detector
from training.network.variants import VARIANTS

pytestmark = pytest.mark.training

SHAPE = Shape(slabs=1, targets=1, size=64)


def test_a_burst_writes_averaged_weights_that_the_network_takes(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    slots = Slots(SHAPE, 2, context)
    (drawer,) = start_drawers(1, 0, tmp_path / "heads", SHAPE, slots, Supply(first=2, most=2), context)
    try:
        (tmp_path / "out").mkdir()
        burst = Burst((Pupil("edge", None, 1e-4),), tmp_path / "out", 10.0, SHAPE)
        figures = run(burst, slots, {"command": "a test"})
    finally:
        drawer.kill()
        drawer.join()
    assert figures["batches"] > 0
    said = json.loads((tmp_path / "out" / "edge.json").read_text())
    assert said["command"] == "a test"
    assert said["steps_of_the_burst"] == figures["batches"]
    detector = Detector(VARIANTS["edge"])
    detector.build()
    detector.load_weights(tmp_path / "out" / "edge.weights.h5")


def test_the_rate_rises_over_the_first_steps_and_falls_to_a_fiftieth() -> None:
    burst = Burst((), Path(), 1.0, SHAPE, warm_up=100, cool_down=0.4)
    assert rate_factor(0, 0.0, burst) == pytest.approx(0.01)
    assert rate_factor(500, 0.5, burst) == 1.0
    assert rate_factor(500, 0.8, burst) == pytest.approx(0.51)
    assert rate_factor(500, 1.0, burst) == pytest.approx(0.02)
