# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Detectors with random weights, and batch-normalisation statistics that are not the identity."""

from __future__ import annotations

import pytest

pytest.importorskip("tensorflow", reason="needs the training environment")

import keras
import numpy as np

from training.network.detector import Detector
from training.network.variants import VARIANTS


def random_detector(variant: str, seed: int = 0) -> Detector:
    keras.utils.set_random_seed(seed)
    detector = Detector(VARIANTS[variant])
    detector.build()
    rng = np.random.default_rng(seed)
    for variable in detector.variables:
        if variable.path.endswith(("gamma", "moving_variance")):
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        elif variable.path.endswith(("beta", "moving_mean", "bias")):
            variable.assign(variable + rng.normal(0, 0.1, variable.shape))
    return detector


@pytest.fixture(scope="session")
def edge() -> Detector:
    return random_detector("edge")
