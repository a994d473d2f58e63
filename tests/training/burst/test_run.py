# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The rate of a burst, and what its device learns from; no GPU is needed, only Keras with JAX:
`KERAS_BACKEND=jax .venv-burst/bin/python -m pytest tests/training/burst/test_run.py`.
"""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("jax", reason="needs Keras with JAX")

from training.batches import Batch, Shape
from training.burst.feed import Feed
from training.burst.run import Burst, rate_factor
from training.burst.slots import Slots

pytestmark = pytest.mark.training

SHAPE = Shape(slabs=1, targets=1, size=64)


def test_the_rate_rises_over_the_first_steps_and_falls_to_a_fiftieth() -> None:
    burst = Burst((), Path(), 1.0, SHAPE, warm_up=100, cool_down=0.4)
    assert rate_factor(0, 0.0, burst) == pytest.approx(0.01)
    assert rate_factor(500, 0.5, burst) == 1.0
    assert rate_factor(500, 0.8, burst) == pytest.approx(0.51)
    assert rate_factor(500, 1.0, burst) == pytest.approx(0.02)


def test_a_device_that_would_wait_learns_once_from_the_last_batch_mirrored() -> None:
    slots = Slots(SHAPE, 2, multiprocessing.get_context("fork"))
    feed = Feed(slots, alive=lambda: False)

    def fill(first: int) -> None:
        batch = [np.full_like(values, 0) for values in slots.batches[0]]
        batch[0][..., 0, 0] = first  # the first column of each slice
        slots.fill(slots.free.get(), Batch(*batch))
        while feed._ready.empty():
            time.sleep(0.01)

    fill(5)
    assert np.asarray(feed.take()[0])[0, 0, [0, -1], 0].tolist() == [5, 0]
    assert np.asarray(feed.take()[0])[0, 0, [0, -1], 0].tolist() == [0, 5]
    with pytest.raises(RuntimeError, match="have ended"):
        feed.take()
    fill(7)
    assert np.asarray(feed.take()[0])[0, 0, [0, -1], 0].tolist() == [7, 0]
    assert (feed.fresh, feed.mirrored) == (2, 1)
