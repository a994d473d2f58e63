# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A site: the appliance's Orthanc, a second real Orthanc as PACS, receivers of messages, and the dispatch by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from appliance.delivery.dispatch import Dispatch
from appliance.ledger.records import Delivery
from appliance.sections.delivery import DeliverySettings, RuleSettings, destination_settings
from appliance.settings import Settings
from deploy.local.orthanc import OrthancProcess
from deploy.local.ports import with_free_ports
from tests.appliance.bench import Bench, bench_on

ALL = ("sr", "seg", "key-images", "key-objects")


class Site:
    """The appliance's Orthanc beside a PACS; both run while the site is entered."""

    def __init__(self, folder: Path, senders: tuple[str, ...] = ()) -> None:
        self.folder = folder
        pacs, own = with_free_ports(Settings(), folder / "pacs"), with_free_ports(Settings(), folder / "own")
        taken = pacs.orthanc.model_copy(update={"aet": "PACS1", "senders": ("HEMORRHAGE@127.0.0.1",)})
        pacs = pacs.model_copy(update={"orthanc": taken})
        receivers = (f"PACS=PACS1@127.0.0.1:{taken.dicom_port}",)
        self.settings = own.model_copy(
            update={
                "orthanc": own.orthanc.model_copy(update={"receivers": receivers, "senders": senders}),
                "destinations": {
                    "committing": destination_settings(
                        {"kind": "orthanc-modality", "modality": "PACS", "storage_commitment": True}
                    )
                },
            }
        )
        knows = {"own": {"AET": own.orthanc.aet, "Host": "127.0.0.1", "Port": own.orthanc.dicom_port}}
        self.pacs = OrthancProcess(pacs, folder / "pacs", doorbell=False, overrides={"DicomModalities": knows})
        # It forgets jobs beyond ten by itself, and tests of one site count them.
        peers = {"OrthancPeers": {"PEER": [pacs.orthanc.url]}, "JobsHistorySize": 1000}
        self.own = OrthancProcess(self.settings, folder / "own", doorbell=False, overrides=peers)

    @contextmanager
    def running(self) -> Iterator[Site]:
        with self.pacs, self.own:
            yield self

    def with_rules(
        self, destinations: Mapping[str, Mapping[str, Any]], rules: Sequence[Mapping[str, Any]], **delivery: Any
    ) -> Settings:
        """Return settings with these destinations and rules, and short pauses."""
        return self.settings.model_copy(
            update={
                "destinations": {name: destination_settings(dict(one)) for name, one in destinations.items()},
                "rules": tuple(RuleSettings.model_validate(dict(one)) for one in rules),
                "delivery": DeliverySettings(**({"retry_first_s": 0.01, "retry_longest_s": 0.01} | delivery)),
            }
        )

    def at_the_pacs(self, study_uid: str) -> list[str]:
        """Return the series numbers that the PACS holds of a study, one for each instance."""
        with self.pacs.client() as client:
            found = client.post("/tools/lookup", content=study_uid).raise_for_status().json()
            studies = [one["ID"] for one in found if one["Type"] == "Study"]
            return sorted(
                series["MainDicomTags"]["SeriesNumber"]
                for study in studies
                for series in client.get(f"/studies/{study}/series").raise_for_status().json()
                for _ in series["Instances"]
            )

    def sr_uids_at_the_pacs(self, study_uid: str) -> set[str]:
        with self.pacs.client() as client:
            query = {"Level": "Instance", "Query": {"StudyInstanceUID": study_uid, "Modality": "SR"}, "Expand": True}
            return {one["MainDicomTags"]["SOPInstanceUID"] for one in client.post("/tools/find", json=query).json()}

    def jobs_of_orthanc(self) -> int:
        """Return how many jobs the appliance's Orthanc has had and remembers."""
        return len(httpx.get(f"{self.settings.orthanc.url}/jobs", trust_env=False, timeout=60).json())


class Post:
    """A bench with a dispatch that a test turns by hand."""

    def __init__(self, bench: Bench, settings: Settings, owner: str = "me/1") -> None:
        self.bench = bench
        self.settings = settings
        self.dispatch = self.another(owner)

    def another(self, owner: str) -> Dispatch:
        """Return the dispatch of another life, or of another service."""
        desk = self.bench.desk
        return Dispatch(self.settings, desk.orthanc, desk.ledger, self.bench.metrics, owner)

    def answer(self, *files: bytes) -> None:
        """Let a study be answered, and the rules be applied to it."""
        self.bench.send(*files)
        self.bench.worker.work()
        self.dispatch.route()

    def send_all(self, name: str) -> int:
        """Send what waits for a destination until nothing has its time; return how many tries that took."""
        tries = 0
        while self.dispatch.send(name):
            tries += 1
        return tries

    def deliveries(self, study_uid: str = "") -> list[Delivery]:
        """Return all deliveries, oldest first."""
        return self.bench.desk.ledger.outbox.deliveries(study_uid=study_uid)[::-1]

    def states(self, study_uid: str = "") -> list[str]:
        return [one.state.value for one in self.deliveries(study_uid)]


@contextmanager
def post_at(settings: Settings, folder: Path) -> Iterator[Post]:
    """Yield a post on the Orthanc of `settings`, with a new ledger."""
    with bench_on(settings, folder) as bench:
        yield Post(bench, settings)
