# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""One machine of the trial with what is installed on it, and what a site does there: send, ask, install, look."""

from __future__ import annotations

import itertools
import json
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from deploy.install.layout import Layout
from simulator.diagnosis import Diagnosis
from simulator.population import CLEAR
from simulator.study import StudySpec, write_study
from tests.install.documented import Documented
from tests.install.machine import Machine, base_tree

ANSWER_S: Final = 600.0
PATIENCE_S: Final = 240
"""Longer than the installer's own minute: a machine that tests share is slow."""
AGAIN_S: Final = 15.0
"""Long enough for the service to take up what it should not."""
FIRST_SEED: Final = 77_000_000


@dataclass
class Study:
    """A simulated bleeding head: its files, and the UID by which it is asked for."""

    folder: Path
    uid: str


def require(holds: bool, otherwise: str) -> None:
    """Raise `AssertionError` with what was seen instead, unless something holds."""
    if not holds:
        raise AssertionError(otherwise)


def upgrading(bundle: str, patience_s: int = PATIENCE_S) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return how the documented commands of an upgrade have to be changed for a bundle in /root."""
    return (
        ("hemorrhage-appliance-NEW.bundle", bundle),
        (f"--offline {bundle}", f"--offline {bundle} --patience-s {patience_s}"),
    )


@dataclass
class Site:
    """A fresh machine; `work` is a folder that it may fill, `kept` one that outlives it."""

    work: Path
    kept: Path
    first_seed: int = FIRST_SEED
    network: bool = False
    documented: set[Documented] = field(default_factory=set)
    """The blocks of the documents that have run."""

    def __post_init__(self) -> None:
        self.work.mkdir(exist_ok=True)
        self.machine = Machine(base_tree(self.kept), self.work / "machine", network=self.network)
        self.layout = Layout(self.machine.folder)
        self._seeds = itertools.count(self.first_seed)

    def ask(self, *arguments: str) -> Any:
        """Ask the appliance from the machine's network."""
        layout = self.layout
        return self.machine.from_the_network(str(layout.settings), str(layout.secrets), *arguments)

    def new_study(self) -> Study:
        """Return a study that has not been sent yet."""
        seed = next(self._seeds)
        spec = StudySpec(seed, Diagnosis.IPH, volume_ml=40, population=CLEAR.name, new_uids=True)
        folder = self.work / "studies" / str(seed)
        written = write_study(spec, folder)
        return Study(folder, written.truth.study_uid)

    def require_answer(self, study: Study) -> str:
        """Return in words how a study was answered; raise unless Orthanc holds exactly one SR, and a SEG."""
        record = self.ask("await", study.uid, str(ANSWER_S))
        require(record["state"] == "done", f"its state is {record['state']}")
        require(record["present"] is True, f"a bleeding head was answered with present={record['present']}")
        found = self.ask("results", study.uid, str(self.work / "results" / study.uid))
        reports = [name for name in found if name.startswith("sr")]
        require(len(reports) == 1, f"{len(reports)} SRs stand in Orthanc: {sorted(found)}")
        require(any(name.startswith("seg") for name in found), f"there is no SEG: {sorted(found)}")
        # None where neither the service nor Orthanc's plugin lived through the time in which it came.
        turnaround_s = record["turnaround_s"]
        took = "turnaround not known" if turnaround_s is None else f"turnaround {turnaround_s:.1f} s"
        return f"SR and SEG, probability {record['probability']:.3f}, {took}"

    def require_well(self) -> None:
        """Wait until `/health/ready` is green, by the installer's own means."""
        end = time.monotonic() + PATIENCE_S
        python = "/opt/hemorrhage-appliance/current/service/bin/python"
        code = "import sys,httpx;sys.exit(httpx.get('http://127.0.0.1:8044/health/ready',timeout=9).status_code!=200)"
        while self.machine.run(python, "-c", code, check=False).returncode != 0:
            require(time.monotonic() < end, f"not ready after {PATIENCE_S} s")
            time.sleep(1)

    def put(self, bundle: Path) -> str:
        """Copy a bundle and its installer into the machine and return the bundle's path there."""
        home = self.machine.folder / "root"
        for file in (bundle, bundle.with_name(f"{bundle.name}.sha256")):
            shutil.copy(file, home / file.name)
        self.machine.run("tar", "-xf", f"/root/{bundle.name}", "-C", "/root", "deploy/install.sh")
        return f"/root/{bundle.name}"

    def installer(self, *arguments: str, check: bool = True) -> tuple[int, str]:
        """Run the installer inside the machine; return its exit status and output."""
        done = self.machine.run("sh", "/root/deploy/install.sh", *arguments, check=check)
        return done.returncode, done.stdout

    def run_documented(self, of: Documented, *changes: tuple[str, str], check: bool = True) -> tuple[int, str]:
        """Run a block of the documents in /root, with other words where it has a name of the site's."""
        text = of.block().text
        for word, other in changes:
            require(word in text, f"{of.page} does not say {word!r} there any more")
            text = text.replace(word, other)
        done = self.machine.run("sh", "-e", "-c", f"cd /root\n{text}", check=check)
        self.documented.add(of)
        return done.returncode, done.stdout

    def current(self) -> str:
        """Return the version that runs."""
        return self.layout.current_version()

    def machine_says(self, line: str) -> tuple[int, str]:
        """Run one line of a shell in the machine; return its exit status and output."""
        done = self.machine.run("sh", "-c", line, check=False)
        return done.returncode, done.stdout

    def holdings(self) -> dict[str, Any]:
        """Return what Orthanc and the service hold, and how often the audit trail says that a study was decided."""
        said = self.machine.run("appliance", "audit", "export", "--json").stdout
        decided = [entry["study_uid"] for entry in json.loads(said) if entry["event"] == "decided"]
        held: dict[str, Any] = self.ask("counts")
        return held | {"decided": sorted(decided)}
