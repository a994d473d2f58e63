# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Fixtures that several folders of tests share."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import structlog
from pydicom.uid import generate_uid

from appliance.inference import engine
from appliance.log import log_to
from appliance.sections.intake import IntakeSettings
from appliance.settings import Settings
from deploy.local.orthanc import OrthancProcess
from deploy.local.ports import with_free_ports
from tests.appliance.bench import Bench, bench_on
from tests.appliance.delivery.receivers import Hook
from tests.appliance.intake.desk import empty

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("unhurried")


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Triton's metrics take longer than the second after which the service does without them for a while."""
    monkeypatch.setattr(engine, "_TIMEOUT_S", 5.0)


@pytest.fixture(scope="module")
def orthanc_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The settings of a real Orthanc that runs for the tests of one module, without our plugin."""
    folder = tmp_path_factory.mktemp("orthanc")
    settings = with_free_ports(Settings(), folder)
    with OrthancProcess(settings, folder, doorbell=False):
        yield settings


@pytest.fixture
def settings(orthanc_settings: Settings) -> Settings:
    """The settings of that Orthanc, emptied, for a short quiet time."""
    empty(orthanc_settings)
    return orthanc_settings.model_copy(update={"intake": IntakeSettings(quiet_s=2, incomplete_s=60, ends_s=20)})


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """A log of its own; afterwards logging is as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    written = io.StringIO()
    log_to(written)
    yield written
    structlog.reset_defaults()
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def bench(settings: Settings, tmp_path: Path) -> Iterator[Bench]:
    """A worker worked by hand on a real Orthanc."""
    with bench_on(settings, tmp_path) as made:
        yield made


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A web server that is told of answers."""
    opened = Hook()
    opened.open()
    yield opened
    opened.close()


@pytest.fixture
def study() -> str:
    """The UID of a study that nobody has seen."""
    return str(generate_uid())
