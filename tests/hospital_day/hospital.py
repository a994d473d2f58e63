# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The hospital: the appliance with its rules, a PACS, a RIS that listens to HL7, a mail server and Prometheus.

All are real and on loopback: Orthanc, Triton and the service; a second Orthanc as PACS; Debian's Prometheus with the
shipped rules. The RIS and the mail server are the small ones of the tests.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from appliance.orthanc_records import orthanc_time
from appliance.process import Process
from appliance.sections.delivery import DeliverySettings, RuleSettings, destination_settings
from appliance.settings import Settings
from deploy.local.appliance import LocalAppliance
from deploy.local.orthanc import OrthancProcess
from deploy.local.ports import free_ports, with_free_ports
from tests.appliance.delivery.receivers import Listener, MailServer, acknowledge
from tests.end_to_end.command import appliance
from tests.hospital_day.studies import SCANNERS

SHIPPED: Final = Path(__file__).parents[2] / "deploy" / "prometheus"
OBJECTS: Final = ("sr", "seg", "key-images", "key-objects")
LATE_ALERTS: Final = ("HemorrhageAnswersLateFast", "HemorrhageAnswersLateSlow")
RULES: Final = (
    {
        "name": "hemorrhage",
        "when": 'answer == "present"',
        "first": True,
        "actions": [{"to": "pacs", "send": list(OBJECTS)}, {"to": "ris"}, {"to": "mail"}],
    },
    {
        "name": "everything else",
        "when": 'answer != "present"',
        "actions": [{"to": "pacs", "send": ["sr"]}, {"to": "ris"}],
    },
)


class Ris(Listener):
    """A RIS that notes when each message came (Unix seconds)."""

    def __init__(self) -> None:
        super().__init__()
        self.came_at: list[float] = []
        self.answer = self._note

    def _note(self, message: str) -> bytes:
        self.came_at.append(time.time())
        return acknowledge(message)

    def messages(self) -> list[dict[str, str]]:
        """Return control identifier, study, answer and priority of each message, in the order in which they came."""
        return [_facts(message) for message in list(self.came)]


def _facts(message: str) -> dict[str, str]:
    told: dict[str, str] = {}
    for line in message.split("\r"):
        field = line.split("|")
        if field[0] == "MSH":
            told["control"] = field[9]
        elif field[0] == "TQ1":
            told["priority"] = field[9]
        elif field[0] == "OBX" and field[3].startswith("113014"):
            told["study"] = field[5]
        elif field[0] == "OBX" and field[3].startswith("HEMORRHAGE^"):
            told["answer"] = field[5]
    return told


class Pacs:
    """A second Orthanc. It overwrites what comes again, so that its change log shows what was sent twice."""

    def __init__(self, folder: Path) -> None:
        settings = with_free_ports(Settings(), folder)
        taken = settings.orthanc.model_copy(update={"aet": "PACS1", "senders": ("HEMORRHAGE@127.0.0.1",)})
        self.dicom_port = taken.dicom_port
        self._process = OrthancProcess(
            settings.model_copy(update={"orthanc": taken}),
            folder,
            doorbell=False,
            overrides={"OverwriteInstances": True},
        )

    def start(self) -> None:
        self._process.start()

    def stop(self) -> None:
        self._process.stop()

    def arrivals(self) -> list[tuple[str, str, str, float]]:
        """Return SOP instance, study, series number and time (Unix s) of each object that came; twice if it did."""
        with self._process.client() as client:
            since, came = 0, []
            while True:
                page = client.get("/changes", params={"since": since, "limit": 1000}).raise_for_status().json()
                came += [(one["ID"], one["Date"]) for one in page["Changes"] if one["ChangeType"] == "NewInstance"]
                since = page["Last"]
                if page["Done"]:
                    break
            known: dict[str, tuple[str, str, str]] = {}
            for one, _ in came:
                if one in known:
                    continue
                tags = client.get(f"/instances/{one}/simplified-tags").raise_for_status().json()
                known[one] = (tags["SOPInstanceUID"], tags["StudyInstanceUID"], str(tags.get("SeriesNumber", "")))
        return [(*known[one], orthanc_time(date)) for one, date in came]


class Prometheus:
    """Debian's Prometheus with the shipped configuration and rules; only the ports are those of this run.

    `every_s` is how often it asks and judges; as shipped that is 15 s, too seldom for a day of half a minute.
    """

    def __init__(self, settings: Settings, folder: Path, every_s: int) -> None:
        (self._port,) = free_ports(1)
        self._folder = folder / "prometheus"
        shutil.copytree(SHIPPED, self._folder)
        file = self._folder / "prometheus.yml"
        ports = {
            8043: httpx.URL(settings.orthanc.url).port,
            8044: settings.service.port,
            8402: settings.triton.metrics_port,
        }
        text = file.read_text()
        for shipped, here in ports.items():
            text = text.replace(f"127.0.0.1:{shipped}", f"127.0.0.1:{here}")
        file.write_text(re.sub(r"_interval: \d+s\b", f"_interval: {every_s}s", text))
        (self._folder / "hemorrhage-orthanc.password").write_text(f"{settings.orthanc.password}\n")
        self._process = Process("prometheus", folder / "prometheus.log", die_with_parent=True)
        self._begun = time.time()
        self._every_s = every_s

    def start(self) -> None:
        self._begun = time.time()
        self._process.launch(
            [
                "prometheus",
                "--config.file=prometheus.yml",
                f"--storage.tsdb.path={self._folder / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{self._port}",
            ],
            os.environ,
            self._folder,
        )

    def stop(self) -> None:
        self._process.stop()

    def _query(self, expression: str) -> list[dict[str, Any]]:
        words: dict[str, str | float] = {
            "query": expression,
            "start": self._begun,
            "end": time.time(),
            "step": self._every_s,
        }
        answer = httpx.get(
            f"http://127.0.0.1:{self._port}/api/v1/query_range", params=words, timeout=30, trust_env=False
        )
        found: list[dict[str, Any]] = answer.raise_for_status().json()["data"]["result"]
        return found

    def alerts(self) -> dict[str, list[str]]:
        """Return the states in which each alert was seen: `pending` and `firing`; one that was neither is not named."""
        seen: dict[str, set[str]] = {}
        for one in self._query("ALERTS"):
            seen.setdefault(one["metric"]["alertname"], set()).add(one["metric"]["alertstate"])
        return {name: sorted(states) for name, states in sorted(seen.items())}

    def worst_late(self) -> float | None:
        """Return the largest share of answers of the last five minutes that took over a minute; None without any."""
        values = [
            float(value)
            for one in self._query("hemorrhage:late:ratio_rate5m")
            for _, value in one["values"]
            if value != "NaN"
        ]
        return max(values, default=None)

    def has_read(self) -> bool:
        """Return whether all three servers have been asked and answered."""
        last = {one["metric"]["job"]: one["values"][-1][1] for one in self._query("up")}
        return last == {"hemorrhage": "1", "triton": "1", "orthanc": "1"}


class Hospital:
    """All of it, running."""

    def __init__(self, local: LocalAppliance, pacs: Pacs, ris: Ris, mail: MailServer, prometheus: Prometheus) -> None:
        self.local = local
        self.settings = local.settings
        self.pacs = pacs
        self.ris = ris
        self.mail = mail
        self.prometheus = prometheus
        self.service = httpx.Client(base_url=local.service.url, timeout=30, trust_env=False)

    def records(self) -> dict[str, dict[str, Any]]:
        """Return the service's record of each study by its UID."""
        told = self.service.get("/status", params={"limit": 1000}).raise_for_status().json()
        return {one["study_uid"]: one for one in told["studies"]}

    def outbox(self) -> list[dict[str, Any]]:
        """Return all deliveries, as the command prints them."""
        file = self.local.service.settings_file
        done = appliance("outbox", "list", "--all", "--limit", "100000", "--json", "--settings", file)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        told: list[dict[str, Any]] = json.loads(done.stdout)
        return told

    def waiting(self, to: str = "") -> int:
        """Return how many deliveries wait for a destination, or for all of them."""
        told = self.service.get("/status", params={"limit": 1}).raise_for_status().json()
        return sum(one["waiting"] for name, one in told["deliveries"].items() if to in ("", name))

    def mails(self) -> Counter[str]:
        """Return how often each mail came, by its Message-ID."""
        return Counter(str(one["Message-ID"]) for one in list(self.mail.came))


@contextmanager
def open_hospital(folder: Path, every_s: int) -> Iterator[Hospital]:
    """Start everything, and stop it in the end."""
    pacs, ris, mail = Pacs(folder / "pacs"), Ris(), MailServer()
    settings = with_free_ports(Settings(), folder / "state")
    address = {"host": "127.0.0.1", "timeout_s": 60}
    named = {"sender": "box@hospital.example", "recipients": ["stroke@hospital.example"], "security": "none"}
    destinations = {
        "pacs": {"kind": "orthanc-modality", "modality": "PACS"},
        "ris": {"kind": "hl7", "port": ris.port, **address},
        "mail": {"kind": "mail", "port": mail.port, **named, **address},
    }
    orthanc = settings.orthanc.model_copy(
        update={
            "receivers": (f"PACS=PACS1@127.0.0.1:{pacs.dicom_port}",),
            "senders": tuple(f"{scanner}@127.0.0.1" for scanner in SCANNERS),
        }
    )
    settings = settings.model_copy(
        update={
            "orthanc": orthanc,
            "destinations": {name: destination_settings(one) for name, one in destinations.items()},
            "rules": tuple(RuleSettings.model_validate(one) for one in RULES),
            # The pauses of a site would outlast the day: the longest is two minutes there.
            "delivery": DeliverySettings(retry_first_s=1, retry_longest_s=10),
        }
    )
    with ExitStack() as opened:
        pacs.start()
        opened.callback(pacs.stop)
        ris.open()
        opened.callback(ris.close)
        opened.enter_context(mail.opened())
        local = opened.enter_context(LocalAppliance(settings))
        prometheus = Prometheus(local.settings, folder, every_s)
        prometheus.start()
        opened.callback(prometheus.stop)
        hospital = Hospital(local, pacs, ris, mail, prometheus)
        opened.callback(hospital.service.close)
        yield hospital
