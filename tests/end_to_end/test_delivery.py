# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Answers that leave by rules, to a second real Orthanc as PACS that is away for a while, and to real receivers.

The service is killed meanwhile, without a chance to tidy up.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.sections.delivery import DeliverySettings, RuleSettings, destination_settings
from appliance.settings import Settings
from deploy.local.appliance import LocalAppliance
from deploy.local.orthanc import OrthancProcess
from deploy.local.ports import with_free_ports
from tests.appliance.delivery.receivers import Hook, Listener, MailServer
from tests.end_to_end.command import appliance
from tests.end_to_end.patient import Patient
from tests.end_to_end.running import Running, until

ALL = ["9001", "9002", "9003", "9004"]


class Hospital:
    """A running appliance with rules, and whom they name."""

    def __init__(
        self, running: Running, pacs: OrthancProcess, hook: Hook, listener: Listener, mail: MailServer
    ) -> None:
        self.running = running
        self.pacs = pacs
        self.hook = hook
        self.listener = listener
        self.mail = mail

    def at_the_pacs(self, uid: str) -> list[str]:
        """Return the series numbers that the PACS holds of a study."""
        with self.pacs.client() as client:
            return series(client, uid)

    def arrivals(self) -> list[str]:
        """Return the studies in the order in which they came to the PACS."""
        with self.pacs.client() as client:
            changes = client.get("/changes", params={"limit": 1000}).raise_for_status().json()["Changes"]
            new = [one["ID"] for one in changes if one["ChangeType"] == "NewStudy"]
            tags = [client.get(f"/studies/{one}").raise_for_status().json()["MainDicomTags"] for one in new]
            return [one["StudyInstanceUID"] for one in tags]

    def outbox(self, *arguments: str) -> list[dict[str, Any]]:
        """Return what `appliance outbox list` prints."""
        done = appliance("outbox", "list", "--json", *arguments, "--settings", self.running.settings_file)
        assert done.returncode == 0, done.stderr
        told: list[dict[str, Any]] = json.loads(done.stdout)
        return told


def series(client: httpx.Client, uid: str) -> list[str]:
    found = client.post("/tools/lookup", content=uid).raise_for_status().json()
    studies = [entry["ID"] for entry in found if entry["Type"] == "Study"]
    return sorted(
        one["MainDicomTags"]["SeriesNumber"]
        for study in studies
        for one in client.get(f"/studies/{study}/series").raise_for_status().json()
    )


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    """Orthanc with the plugin, Triton, the service with rules; the PACS is not running yet."""
    folder = tmp_path_factory.mktemp("hospital")
    away = with_free_ports(Settings(), folder / "pacs")
    taken = away.orthanc.model_copy(update={"aet": "PACS1", "senders": ("HEMORRHAGE@127.0.0.1",)})
    pacs = OrthancProcess(away.model_copy(update={"orthanc": taken}), folder / "pacs", doorbell=False)
    hook, listener, mail = Hook(), Listener(), MailServer()
    destinations = {
        "pacs": {"kind": "orthanc-modality", "modality": "PACS"},
        "hook": {"kind": "webhook", "url": hook.url},
        "ris": {"kind": "hl7", "host": "127.0.0.1", "port": listener.port},
        "mail": {
            "kind": "mail",
            "host": "127.0.0.1",
            "port": mail.port,
            "security": "none",
            "sender": "box@hospital.example",
            "recipients": ["stroke@hospital.example"],
        },
    }
    everything = ["sr", "seg", "key-images", "key-objects"]
    rules = [
        {
            "name": "hemorrhage",
            "when": 'answer == "present" && total_ml > 1.0 && calling_aet == "SCANNER"',
            "first": True,
            "actions": [{"to": "pacs", "send": everything}, {"to": "mail"}],
        },
        {"name": "others", "when": 'answer != "present"', "actions": [{"to": "pacs", "send": ["sr"]}]},
        {"name": "all are told", "when": "true", "actions": [{"to": "hook"}, {"to": "ris"}]},
    ]
    settings = with_free_ports(Settings(), folder / "stack")
    receivers = (f"PACS=PACS1@127.0.0.1:{taken.dicom_port}",)
    settings = settings.model_copy(
        update={
            "orthanc": settings.orthanc.model_copy(update={"receivers": receivers}),
            "destinations": {name: destination_settings(one) for name, one in destinations.items()},
            "rules": tuple(RuleSettings.model_validate(one) for one in rules),
            "delivery": DeliverySettings(retry_first_s=0.2, retry_longest_s=1),
        }
    )
    hook.open()
    listener.open()
    with mail.opened(), LocalAppliance(settings) as local:
        yield Hospital(Running(local), pacs, hook, listener, mail)
    pacs.stop()
    hook.close()
    listener.close()


def test_a_pacs_that_was_away_and_a_service_that_was_killed_meanwhile_cost_no_delivery_and_bleeds_go_first(
    hospital: Hospital, healthy: Patient, bleeding: Patient, tmp_path: Path
) -> None:
    running = hospital.running
    uids = []
    for name, patient in (("healthy", healthy), ("bleeding", bleeding)):
        written = patient.study(tmp_path / name)
        running.send(written.all_files)
        uids.append(written.truth.study_uid)
        running.answered(uids[-1])
    plain, bleed = uids
    # Whoever is there is told, whatever the PACS does.
    until(lambda: len(hospital.hook.came) == 2 and len(hospital.listener.came) == 2, hospital.outbox)
    until(lambda: len(hospital.mail.came) == 1, hospital.outbox)
    # What is first in the queue is tried, and each try tells the log.
    until(lambda: any(one["tries"] > 1 for one in hospital.outbox("--study", bleed)), hospital.outbox)
    waiting = {one["study_uid"]: one for one in hospital.outbox("--to", "pacs")}
    assert set(waiting) == {plain, bleed}
    assert running.status()["deliveries"]["pacs"]["waiting"] == 2
    assert "To pacs <small>2 waiting" in running.service.get("/deliveries").text
    running.local.service.kill()
    hospital.pacs.start()
    running.local.service.start()
    until(lambda: hospital.at_the_pacs(plain) == ["9001"], hospital.outbox)
    until(lambda: hospital.at_the_pacs(bleed) == ALL, hospital.outbox)
    until(lambda: hospital.outbox() == [], hospital.outbox)
    assert hospital.arrivals() == [bleed, plain]
    # Once each: nothing that had been confirmed was sent again by the service's next life.
    assert [json.loads(one.body)["study_uid"] for one in hospital.hook.came] == [plain, bleed]
    assert len(hospital.listener.came) == 2
    assert len(hospital.mail.came) == 1
    states = {(one["destination"], one["study_uid"]): one["state"] for one in hospital.outbox("--all")}
    assert set(states.values()) == {"delivered"}
    assert len(states) == 7


def test_the_rules_say_of_a_study_of_before_what_they_did_with_it(
    hospital: Hospital, bleeding: Patient, tmp_path: Path
) -> None:
    running = hospital.running
    if hospital.pacs.pid is None:
        hospital.pacs.start()
    written = bleeding.study(tmp_path / "bleeding")
    uid = written.truth.study_uid
    running.send(written.all_files)
    record = running.answered(uid)
    until(lambda: {one["state"] for one in hospital.outbox("--all", "--study", uid)} == {"delivered"}, hospital.outbox)
    done = appliance("rules", "test", uid, "--json", "--settings", running.settings_file)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [one["holds"] for one in told["rules"]] == [True, False, True]
    assert told["values"]["calling_aet"] == "SCANNER"
    assert told["values"]["probability"] == record["probability"]
    assert len(told["outbox"]) == 4
    exported = appliance("audit", "export", "--study", uid, "--json", "--settings", running.settings_file)
    sent = [one["details"]["to"] for one in json.loads(exported.stdout) if one["event"] == "sent"]
    assert sorted(sent) == ["Orthanc", "hook", "mail", "pacs", "ris"]


def test_the_doctor_tries_each_destination(hospital: Hospital) -> None:
    if hospital.pacs.pid is None:
        hospital.pacs.start()
    done = appliance("doctor", "--json", "--settings", hospital.running.settings_file)
    states = {one["name"]: one["state"] for one in json.loads(done.stdout)}
    assert {states[f"destination {name}"] for name in ("pacs", "hook", "ris", "mail")} == {"ok"}
