# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

pytest.importorskip("tensorflow", reason="needs the training environment")

from tests.training.network.random_detector import random_detector
from training.network.detector import Detector


@pytest.fixture(scope="session")
def edge() -> Detector:
    return random_detector("edge")
