# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Follows the answers in an Orthanc and sends them to a PACS, like present_first.lua, but with retries.

    .venv/bin/python deploy/routing/follow_answers.py --url http://127.0.0.1:8043 \\
        --credentials var/credentials.toml --receiver PACS --state answers.json

Orthanc's change log names each study whose mark was written (docs/routing.md). The receiver is a name of Orthanc's
"DicomModalities". Studies with hemorrhage go first. A study that the receiver does not accept is tried again after
pauses that grow to a minute; the others go meanwhile. `--state` keeps the place in the log, what waits and what was
sent, so that a restart forgets nothing; a study sent at the moment of a crash is sent again. This needs only pyorthanc;
it is an example to begin from, not a part of the service.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import httpx
import pyorthanc

METADATA = 4310
FIRST_PAUSE_S, LONGEST_PAUSE_S = 2.0, 60.0
MOST_REMEMBERED = 10_000


class Router:
    """Sends the answers of one Orthanc to one receiver."""

    def __init__(self, orthanc: pyorthanc.Orthanc, receiver: str, state: Path) -> None:
        self.orthanc, self.receiver, self.state = orthanc, receiver, state
        if state.exists():
            kept = json.loads(state.read_text())
        else:  # earlier answers are not sent
            kept = {"since": orthanc.get_changes(params={"last": ""})["Last"], "waiting": {}, "sent": {}}
        self.since: int = kept["since"]
        self.sent: dict[str, int] = kept.get("sent", {})
        """The number of the answer sent last, by study: every metadata of a study ends up here."""
        self.waiting: dict[str, dict[str, Any]] = kept["waiting"]
        """The studies still to be sent: each one's mark, how often it was tried, and when it is tried next."""

    def turn(self) -> None:
        """Read the news, and send what is due."""
        while True:
            page = self.orthanc.get_changes(params={"since": self.since, "limit": 100})
            for change in page["Changes"]:
                if change["ChangeType"] == "UpdatedMetadata" and change["ResourceType"] == "Study":
                    self.notice(change["ID"])
            self.since = page["Last"]
            self.keep()
            if page["Done"]:
                break
        due = [study for study, one in self.waiting.items() if one["next"] <= time.time()]
        for study in sorted(due, key=lambda study: self.waiting[study]["mark"]["answer"] != "present"):
            if not self.send(study):
                break  # look for news first: a try may take as long as a connection timeout

    def notice(self, study: str) -> None:
        """Note that a study's mark was written. A newer one takes the place of one that waits."""
        found = self.orthanc.get(f"{self.orthanc.url}/studies/{study}/metadata/{METADATA}")
        if found.status_code == httpx.codes.NOT_FOUND:  # another metadata, or the study is gone
            return
        mark = json.loads(found.raise_for_status().text)
        if self.sent.get(study) != mark["job"]:
            self.waiting[study] = {"mark": mark, "tries": 0, "next": 0.0}

    def send(self, study: str) -> bool:
        """Send the series of an answer (all if it found hemorrhage, else the report); return whether that is done."""
        one = self.waiting[study]
        series = one["mark"]["series"]
        is_urgent = one["mark"]["answer"] == "present"
        wanted = list(series.values()) if is_urgent else [series[kind] for kind in ("sr", "refusal") if kind in series]
        try:
            there = [identifier for identifier in wanted if self.holds(identifier)]
            if there:
                self.orthanc.post_modalities_id_store(self.receiver, json={"Resources": there, "Synchronous": True})
        except httpx.HTTPError as error:
            one["tries"] += 1
            one["next"] = time.time() + min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(one["tries"] - 1, 10))
            print(f"{study}: not sent to {self.receiver}, try {one['tries']}: {error}", flush=True)
            return False
        else:
            print(f"{study}: {one['mark']['answer']}, {len(there)} series sent to {self.receiver}", flush=True)
            del self.waiting[study]
            self.sent[study] = one["mark"]["job"]
            for oldest in list(self.sent)[:-MOST_REMEMBERED]:
                del self.sent[oldest]
            return True
        finally:
            self.keep()

    def holds(self, series: str) -> bool:
        """Return whether Orthanc still holds a series."""
        found: httpx.Response = self.orthanc.get(f"{self.orthanc.url}/series/{series}")
        return found.status_code != httpx.codes.NOT_FOUND

    def keep(self) -> None:
        """Write the state aside and rename it."""
        aside = self.state.with_suffix(".new")
        aside.write_text(json.dumps({"since": self.since, "waiting": self.waiting, "sent": self.sent}))
        aside.replace(self.state)


def main() -> int:
    """Follow the answers until interrupted."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--url", required=True, help="address of the appliance's Orthanc")
    asked.add_argument("--credentials", type=Path, help="TOML file with Orthanc's user, as `make up` writes it")
    asked.add_argument("--receiver", required=True, help="name of the PACS among Orthanc's modalities")
    asked.add_argument("--state", type=Path, required=True, help="file that keeps the place and what waits")
    asked.add_argument("--every", type=float, default=1.0, help="seconds between two looks")
    given = asked.parse_args()
    user = tomllib.loads(given.credentials.read_text())["orthanc"] if given.credentials else {}
    orthanc = pyorthanc.Orthanc(given.url, user.get("username"), user.get("password"), timeout=60, trust_env=False)
    router = Router(orthanc, given.receiver, given.state)
    while True:
        try:
            router.turn()
        except httpx.HTTPError as error:
            print(f"Orthanc does not answer ({type(error).__name__})", flush=True)
        time.sleep(given.every)


if __name__ == "__main__":
    sys.exit(main())
