# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Real Triton servers that serve the small detector of `blob_detector.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.inference.engine import served_engine
from appliance.inference.server import TritonServer
from appliance.reading.contract import DETECTOR
from appliance.sections.triton import TritonSettings
from tests.appliance.inference.blob_detector import write_repository
from tests.appliance.inference.clock import Clock
from tests.appliance.inference.ports import triton_settings
from tests.appliance.running import until

ServerMaker = Callable[..., TritonServer]


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonSettings]:
    """Settings of a running Triton that serves the small detector; tests leave it as they find it."""
    folder = tmp_path_factory.mktemp("triton")
    write_repository(folder / "models")
    settings = triton_settings(folder / "models")
    with TritonServer(settings, folder / "state"):
        until(lambda: bool(served_engine(settings, DETECTOR)), "metrics, which Triton opens after the model is loaded")
        yield settings


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A model repository with the small detector."""
    write_repository(tmp_path / "models")
    return tmp_path / "models"
