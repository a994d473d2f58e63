# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A listener in the place of the service, and a real Orthanc whose plugin rings there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.settings import Settings
from deploy.local.orthanc import DOORBELL, OrthancProcess
from deploy.local.ports import with_free_ports
from tests.orthanc_plugin.listener import Listener


@pytest.fixture
def listener() -> Iterator[Listener]:
    running = Listener()
    running.start()
    yield running
    running.stop()


@pytest.fixture
def silent() -> Iterator[Listener]:
    """A listener that has a port and does not listen yet."""
    waiting = Listener()
    yield waiting
    waiting.stop()


def _orthanc(rung: Listener, folder: Path, **overrides: str) -> OrthancProcess:
    settings = with_free_ports(Settings(), folder)
    service = settings.service.model_copy(update={"port": rung.port})
    return OrthancProcess(settings.model_copy(update={"service": service}), folder / "orthanc", overrides=overrides)


@pytest.fixture
def orthanc(listener: Listener, tmp_path: Path) -> Iterator[OrthancProcess]:
    """A real Orthanc with our plugin, which rings at `listener`."""
    with _orthanc(listener, tmp_path) as running:
        yield running


@pytest.fixture
def patient_orthanc(listener: Listener, tmp_path: Path) -> Iterator[OrthancProcess]:
    """As `orthanc`, where whoever presses the button waits for as long as `listener` lets them."""
    script = tmp_path / "patient.py"
    script.write_text(f"{DOORBELL.read_text()}\nBUTTON_TIMEOUT_S = 600.0\n")
    with _orthanc(listener, tmp_path, PythonScript=str(script)) as running:
        yield running


@pytest.fixture
def unheard_orthanc(silent: Listener, tmp_path: Path) -> Iterator[OrthancProcess]:
    """A real Orthanc with our plugin, which rings where nobody answers yet (`silent`)."""
    with _orthanc(silent, tmp_path) as running:
        yield running
