# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Real servers and simulated patients for the end-to-end tests.

One appliance (Orthanc with the plugin, Triton with the shipped model, the service) and two scanned heads serve the
whole run, because both take seconds to make. A test sends studies of its own, with UIDs that no study had before, and
counts on nothing else being there or not; a test that stops a server starts it again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.errors import UnavailableError
from appliance.sections.prior import PriorSettings
from appliance.settings import Settings
from deploy.local.appliance import LocalAppliance
from deploy.local.orthanc import OrthancProcess
from deploy.local.ports import free_ports, with_free_ports
from deploy.local.service import ROOT
from deploy.viewer.fetch import fetch, lay_out
from simulator.diagnosis import Diagnosis
from simulator.population import CLEAR
from simulator.study import StudySpec
from simulator.vendors import VendorName
from tests.collector import Collector
from tests.end_to_end.patient import Patient
from tests.end_to_end.running import Running

HERE = Path(__file__).parent
PRESENT_FIRST = HERE.parents[1] / "deploy" / "routing" / "present_first.lua"
INCOMPLETE_S = 9.0
"""How long it waits for missing slices, s: longer than the slow sender of `test_parts` pauses on a busy machine."""

# Twenty slices are two chunks of the network and cover a head from the skull base to the crown.
# Clear heads: what is proven here is the way of a study through the parts, not how the network takes hard ones.
BLEEDING = StudySpec(
    7001,
    Diagnosis.IPH,
    volume_ml=50,
    slices=20,
    spacing_mm=8.0,
    vendor=VendorName.AKANE,
    population=CLEAR.name,
)
HEALTHY = StudySpec(7002, Diagnosis.NONE, slices=20, spacing_mm=8.0, vendor=VendorName.POLDER, population=CLEAR.name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever stands in this folder is an end-to-end test."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.end_to_end)


@pytest.fixture(scope="session")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancProcess]:
    """Another Orthanc, which takes what the appliance's Orthanc sends by its script."""
    folder = tmp_path_factory.mktemp("pacs")
    settings = with_free_ports(Settings(), folder)
    orthanc = settings.orthanc.model_copy(update={"aet": "PACS1", "senders": ("HEMORRHAGE@127.0.0.1",)})
    with OrthancProcess(settings.model_copy(update={"orthanc": orthanc}), folder, doorbell=False) as running:
        yield running


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    """What the appliance sends its traces to."""
    collecting = Collector()
    collecting.start()
    yield collecting
    collecting.stop()


@pytest.fixture(scope="session")
def local(
    tmp_path_factory: pytest.TempPathFactory, pacs: OrthancProcess, collector: Collector
) -> Iterator[LocalAppliance]:
    """Orthanc with the plugin, Triton and the service, running.

    It does not wait long for missing slices. Orthanc sends the answers to `pacs` by the shipped script, and knows a
    second receiver, to which nothing listens. Traces go to a collector. Priors are fetched from `pacs`, which is told
    where to send them. The viewer is there, unless its package can be had nowhere.
    """
    settings = with_free_ports(Settings(), tmp_path_factory.mktemp("stack"))
    with contextlib.suppress(UnavailableError):
        lay_out(fetch(ROOT / "var/bundle/cache"), settings.state_dir / "viewer")
    intake = settings.intake.model_copy(update={"incomplete_s": INCOMPLETE_S, "ends_s": INCOMPLETE_S})
    receivers = (f"PACS=PACS1@127.0.0.1:{pacs.dicom_port}", f"READING=READING1@127.0.0.1:{free_ports(1)[0]}")
    sent = {"receivers": receivers, "scripts": (PRESENT_FIRST,), "senders": ("PACS1@127.0.0.1",)}
    orthanc = settings.orthanc.model_copy(update=sent)
    traces = settings.traces.model_copy(update={"url": collector.url})
    triton = settings.triton.model_copy(update={"traces_url": collector.http_url})
    prior = PriorSettings(pacs="PACS")
    with pacs.client() as client:  # Orthanc lets a caller in by the first name with its title
        appliance = {"AET": orthanc.aet, "Host": "127.0.0.1", "Port": orthanc.dicom_port}
        client.put("/modalities/appliance", json=appliance).raise_for_status()
    changed = {"intake": intake, "orthanc": orthanc, "traces": traces, "triton": triton, "prior": prior}
    with LocalAppliance(settings.model_copy(update=changed)) as started:
        yield started


@pytest.fixture(scope="session")
def running(local: LocalAppliance) -> Running:
    """The appliance as those see it who send studies and look at what comes back."""
    return Running(local)


@pytest.fixture
def interrupted(running: Running) -> Iterator[Running]:
    """The appliance for a test that stops or freezes parts of it; afterwards all parts run again."""
    yield running
    running.restore()


@pytest.fixture(scope="session")
def bleeding() -> Patient:
    """A patient with a big intraparenchymal hemorrhage, scanned once."""
    return Patient(BLEEDING)


@pytest.fixture(scope="session")
def healthy() -> Patient:
    """A patient who does not bleed, scanned once."""
    return Patient(HEALTHY)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of an appliance of the test's own, of which nothing runs."""
    return with_free_ports(Settings(), tmp_path / "own")
