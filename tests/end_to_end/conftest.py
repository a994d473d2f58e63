# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Real servers for the end-to-end tests, on free ports, with all they store in folders of the test run.

`orthanc` is a fresh one for each test and rings nobody; `stack` (Orthanc, Triton and the service) is one for the whole
run, so a test counts on the studies that it sent and on nothing else being there or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.settings import Settings
from deploy.local.orthanc import OrthancProcess
from deploy.local.ports import with_free_ports
from deploy.local.stack import Stack
from deploy.local.storescu import send

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever stands in this folder is an end-to-end test."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.end_to_end)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of an appliance of the test's own."""
    return with_free_ports(Settings(), tmp_path)


@pytest.fixture
def orthanc(settings: Settings, tmp_path: Path) -> Iterator[OrthancProcess]:
    """A real Orthanc of the test's own, without the plugin."""
    with OrthancProcess(settings, tmp_path / "orthanc", doorbell=False) as running:
        yield running


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Orthanc with the plugin, Triton and the service, running."""
    state_dir = tmp_path_factory.mktemp("stack")
    with Stack(with_free_ports(Settings(), state_dir)) as running:
        yield running


@pytest.fixture(scope="session")
def send_to_stack(stack: Stack) -> Callable[[Path], int]:
    """Send all files of a folder to the stack by C-STORE; returns how many."""

    def sent(folder: Path) -> int:
        return send(sorted(file for file in folder.rglob("*.dcm")), stack.settings.orthanc)

    return sent
