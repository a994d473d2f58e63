# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The life of an appliance in containers, step by step: each is done for real and checked."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from deploy.containers.images import Image, build, image_name, import_base, inspect, save
from simulator.diagnosis import Diagnosis
from simulator.population import CLEAR
from simulator.study import StudySpec, write_study
from tests.containers.engine import ROOT, Site, base_tree, capabilities, container, podman
from tests.containers.next_version import broken_version, good_version
from tests.install.site import Study
from tests.stepwise import Stepwise, TrialStep

READY_S: Final = 300.0
ANSWER_S: Final = 600.0
SERVERS: Final = ("orthanc", "triton", "service")
_FIRST_SEED: Final = 78_000_000
_RIGHTS: Final = {"network": 10002, "orthanc": 10002, "triton": 10001, "service": 10001}


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)


@dataclass
class Life(Stepwise):
    """One site and the steps tried on it; `kept` outlives it and holds the base and what was downloaded."""

    work: Path
    kept: Path
    report: Callable[[TrialStep], None]
    steps: list[TrialStep] = field(default_factory=list)
    images: list[Image] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._seeds: Iterator[int] = itertools.count(_FIRST_SEED)
        self._sent: list[Study] = []
        self._site: Site | None = None

    @property
    def site(self) -> Site:
        """The site, once `up` has made it."""
        assert self._site is not None
        return self._site

    def build(self) -> str:
        """Build all images on a base of debootstrap, without a network."""
        base = import_base(base_tree(self.kept / "base"))
        self.images = build(base, self.kept / "cache")
        return ", ".join(f"{_kind(image)} {image.size / 1e6:.0f} MB" for image in self.images)

    def look_at_images(self) -> str:
        """Look at what podman says of the images: no root, a health check, what they are, no secret."""
        for image in self.images:
            known = inspect(image.name)
            config = known["Config"]
            _require(config["User"] in ("10001:10001", "10002:10002"), f"{image.name} runs as {config['User']!r}")
            _require("Healthcheck" in known or "Healthcheck" in config, f"{image.name} has no health check")
            for label in ("version", "revision", "licenses", "title"):
                _require(bool(config["Labels"].get(f"org.opencontainers.image.{label}")), f"{image.name}: no {label}")
            _require(
                not any(word in line for line in config["Env"] for word in ("SECRET=", "PASSWORD=", "TOKEN=")),
                f"{image.name} has a secret in its environment",
            )
        return "no root, a health check and labels each"

    def save(self) -> str:
        """Write one file of all images, with their parts lists."""
        saved = save(self.images, self.work / "images")
        parts = sorted(path.name for path in (self.work / "images").glob("*.cdx.json"))
        _require(len(parts) == len(self.images), f"parts lists: {parts}")
        return f"{saved['bytes'] / 1e6:.0f} MB, {', '.join(parts)}"

    def up(self) -> str:
        """Start the Compose file and wait until a study would be answered."""
        self._site = Site(self.work / "site")
        begin = time.monotonic()
        self.site.compose("up", "-d")
        self._until_ready()
        return f"ready after {time.monotonic() - begin:.0f} s"

    def _until_ready(self) -> None:
        end = time.monotonic() + READY_S
        probe = ["python3", "-I", "/opt/hemorrhage-appliance/deploy/containers/unit.py", "--probe"]
        while True:
            done = self.site.execute("service", *probe, "http://127.0.0.1:8044/health/ready", check=False)
            if done.returncode == 0:
                return
            _require(time.monotonic() < end, f"not ready after {READY_S:.0f} s: {done.stdout}{done.stderr}")
            time.sleep(1)

    def doctor(self) -> str:
        """Have the doctor look at the running appliance, and podman ask each health check."""
        done = self.site.execute("service", "appliance", "doctor", "--json", check=False)
        well = '"fail"' not in done.stdout and done.returncode == 0
        _require(well, f"the doctor finds faults: {done.stdout[-1500:]}")
        for name in SERVERS:
            podman("healthcheck", "run", container(name))
        return "doctor all well, three health checks pass"

    def look_at_rights(self) -> str:
        """Look at what the first process of each container may do, and let each try to write."""
        for name, user in _RIGHTS.items():
            process = self.site.main_process(name)
            status = Path(f"/proc/{process}/status").read_text()
            uids = next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1:]
            _require(set(uids) == {str(user)}, f"{name} runs as {uids}")
            _require(capabilities(process) == 0, f"{name} has capabilities")
            _require("NoNewPrivs:\t1" in status, f"{name} may gain privileges")
            for place in ("/opt/hemorrhage-appliance/x", "/etc/x", "/usr/x"):
                done = self.site.execute(name, "touch", place, check=False)
                _require(done.returncode != 0, f"{name} writes {place}")
        done = self.site.execute("orthanc", "ls", "/run/secrets", check=False)
        _require("triton" not in done.stdout, "Orthanc sees a secret of Triton")
        listening = self.site.execute("service", "ls", "/dev/shm").stdout
        _require("hemorrhage-" in listening and "triton_python_backend" in listening, f"no shared memory: {listening}")
        return "no root, no capability, no new privileges, roots read-only, memory shared"

    def new_study(self) -> Study:
        """Return a simulated bleeding head that has not been sent yet."""
        seed = next(self._seeds)
        spec = StudySpec(seed, Diagnosis.IPH, volume_ml=40, population=CLEAR.name, new_uids=True)
        folder = self.work / "studies" / str(seed)
        return Study(folder, write_study(spec, folder).truth.study_uid)

    def send(self, study: Study) -> int:
        """Send a study; return the tries."""
        tries = self.site.send(sorted(study.folder.rglob("*.dcm")))
        self._sent.append(study)
        return tries

    def require_answer(self, study: Study) -> str:
        """Return in words how a study was answered; raise unless Orthanc holds exactly one SR, and a SEG."""
        record = self.site.ask("await", study.uid, str(ANSWER_S))
        _require(record["state"] == "done", f"its state is {record['state']}")
        _require(record["present"] is True, f"a bleeding head was answered with present={record['present']}")
        found = self.site.ask("results", study.uid, str(self.work / "results" / study.uid))
        reports = [name for name in found if name.startswith("sr")]
        _require(len(reports) == 1, f"{len(reports)} SRs stand in Orthanc: {sorted(found)}")
        _require(any(name.startswith("seg") for name in found), f"there is no SEG: {sorted(found)}")
        # Of a study that came while the service was away, nobody saw the last instance come.
        took = "not known" if record["turnaround_s"] is None else f"{record['turnaround_s']:.1f} s"
        return f"SR and SEG, probability {record['probability']:.3f}, turnaround {took}"

    def first_study(self) -> str:
        """Send a study from outside to the published port and look at its answer."""
        study = self.new_study()
        self.send(study)
        return self.require_answer(study)

    def kill(self, name: str) -> str:
        """Kill a container's first process while a study comes; it is started again, and the study answered once."""
        study = self.new_study()
        before = {each: self.site.inspect(each)["RestartCount"] for each in _RIGHTS}
        os.kill(self.site.main_process(name), signal.SIGKILL)
        tries = self.send(study)
        answer = self.require_answer(study)
        self._until_ready()
        again = {each: self.site.inspect(each)["RestartCount"] - before[each] for each in _RIGHTS}
        _require(again[name] >= 1, f"{name} was not started again: {again}")
        others = ", ".join(each for each, count in again.items() if count and each != name)
        return f"sent in {tries} tries; {answer}; restarted{f', and so were {others}' if others else ''}"

    def hang(self, name: str) -> str:
        """Stop a container's program without ending it; its first process ends it, and it is started again."""
        before = self.site.inspect(name)["RestartCount"]
        main = self.site.main_process(name)
        (program,) = Path(f"/proc/{main}/task/{main}/children").read_text().split()[:1]
        os.kill(int(program), signal.SIGSTOP)
        end = time.monotonic() + READY_S
        while self.site.inspect(name)["RestartCount"] == before:
            _require(time.monotonic() < end, f"{name} hangs, and nothing restarts it")
            time.sleep(1)
        self._until_ready()
        return "restarted"

    def down_and_up(self) -> str:
        """Remove all containers and make them again: the volumes stay, and nothing is answered twice."""
        before = self.site.ask("counts")
        self.site.compose("down")
        volumes = podman("volume", "ls", "--format", "{{.Name}}").split()
        _require({"hemorrhage_archive", "hemorrhage_state"} <= set(volumes), f"volumes: {volumes}")
        self.site.compose("up", "-d")
        self._until_ready()
        study = self.new_study()
        self.send(study)
        answer = self.require_answer(study)
        after = self.site.ask("counts")
        expected = {**before["instances"], "SR": before["instances"]["SR"] + 1}
        _require(after["instances"]["SR"] == expected["SR"], f"SRs: {before} before, {after} after one study more")
        _require(after["studies"] == before["studies"] + 1, f"studies: {before} before, {after} after")
        _require(after["instances"]["SR"] == len(self._sent), f"{after['instances']['SR']} SRs of {len(self._sent)}")
        return f"{after['instances']['SR']} SRs of {len(self._sent)} studies, none twice; {answer}"

    def back_up_and_restore(self) -> str:
        """Back up, lose the state, restore as the handbook says, and see that nothing is answered twice."""
        before = self.site.ask("counts")
        backup = self.site.folder / "site.backup"
        self.site.execute("service", "appliance", "backup", "/tmp/site.backup")
        podman("cp", f"{container('service')}:/tmp/site.backup", str(backup))
        self.site.compose("down")
        podman("volume", "rm", "hemorrhage_state")
        os.chown(backup, 10001, 10001)
        _restore(self.site)
        self.site.compose("up", "-d")
        self._until_ready()
        study = self.new_study()
        self.send(study)
        answer = self.require_answer(study)
        after = self.site.ask("counts")
        _require(after["instances"]["SR"] == before["instances"]["SR"] + 1, f"{before} before, {after} after")
        return f"{after['instances']['SR']} SRs of {len(self._sent)} studies, none twice; {answer}"

    def broken_upgrade(self) -> str:
        """Upgrade to images that migrate the ledger and never get ready: they are taken back by themselves."""
        before, study = self._images_that_run(), self.new_study()
        new = broken_version(self.work / "broken", self.site.folder / "compose.yaml", ROOT)
        status, said, tries = self._upgrade_while_sending(new, study, 60)
        shutil.rmtree(self.work / "broken")
        _require(status == 1, f"exit {status}: {said[-2000:]}")
        for words in ("the ledger is again as it was before", "the one before runs again, and no study is lost"):
            _require(words in said, f"it does not say {words!r}: {said[-3000:]}")
        _require(self._images_that_run() == before, f"{before} became {self._images_that_run()}")
        self._until_ready()
        return f"the images of before run, the ledger taken back; sent in {tries} tries; {self._answered_once(study)}"

    def upgrade(self) -> str:
        """Upgrade to images of another tag while a study comes; those of before are kept."""
        before, study = self._images_that_run(), self.new_study()
        new = good_version(self.work / "good", self.site.folder / "compose.yaml", ROOT, "0.1.1-two")
        status, said, tries = self._upgrade_while_sending(new, study, int(READY_S))
        shutil.rmtree(self.work / "good")
        _require(status == 0, f"exit {status}: {said[-3000:]}")
        after = self._images_that_run()
        _require(after["service"] != before["service"], "the service of before runs")
        name = self.site.inspect("service")["ImageName"]
        _require(name.endswith(":0.1.1-two"), f"{name} runs")
        _require(inspect("localhost/hemorrhage-service:previous")["Id"] == before["service"], "it was not kept")
        copies = list((self.site.folder / "backups").glob("ledger-before-*.sqlite"))
        _require(len(copies) == 2, f"copies of the ledger: {copies}")
        answer = self._answered_once(study)
        return f"0.1.1-two runs, the one before is kept; sent in {tries} tries; {answer}"

    def _images_that_run(self) -> dict[str, str]:
        return {name: self.site.inspect(name)["Image"] for name in _RIGHTS}

    def _upgrade_while_sending(self, new: Path, study: Study, patience_s: int) -> tuple[int, str, int]:
        copies = self.site.folder / "backups"
        before = len(list(copies.glob("*")))
        with ThreadPoolExecutor(1) as aside:
            going = aside.submit(self.site.upgrade, new, patience_s)
            while not going.done() and len(list(copies.glob("*"))) == before:  # the service is not down yet
                time.sleep(0.5)
            tries = self.send(study)
            return (*going.result(), tries)

    def _answered_once(self, study: Study) -> str:
        answer = self.require_answer(study)
        there = self.site.ask("counts")["instances"]["SR"]
        _require(there == len(self._sent), f"{there} SRs of {len(self._sent)} studies")
        return f"{there} SRs of {len(self._sent)} studies; {answer}"

    def viewer(self) -> str:
        """Open the viewer's page and a study's images by DICOMweb as a browser does, on the service's own address."""
        seen = self.site.ask("viewer", self._sent[0].uid)
        return f"page and bundle; by DICOMweb {', '.join(seen['modalities'])}, a frame of {seen['frame_bytes']} bytes"

    def end(self) -> str:
        """Remove the containers and their volumes."""
        self.site.compose("down", "--volumes")
        left = podman("ps", "--all", "--quiet").split()
        _require(not left, f"containers are left: {left}")
        return "containers and volumes are gone"


def _restore(site: Site) -> None:
    podman(
        *("run", "--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp", "--entrypoint", "appliance"),
        *("-v", "hemorrhage_state:/var/lib/hemorrhage-appliance/service"),
        *("-v", f"{site.settings}:/etc/hemorrhage-appliance/appliance.toml:ro"),
        *("-v", f"{site.folder}/site.backup:/site.backup:ro"),
        *(image_name("service"), "restore", "--without-settings", "/site.backup"),
    )


def _kind(image: Image) -> str:
    return image.name.rpartition("/")[2].partition(":")[0]


def run(life: Life) -> bool:
    """Do all steps, as far as they can be done; return whether all went well."""
    begun = life.step("build the images, without a network", life.build) and life.step("up", life.up)
    if begun:
        life.step("what the images are", life.look_at_images)
        life.step("one file of all images", life.save)
        life.step("doctor and health checks", life.doctor)
        life.step("first study by C-STORE", life.first_study)
        life.step("the viewer", life.viewer)
        life.step("what the containers may do", life.look_at_rights)
        for name in (*SERVERS, "network"):
            life.step(f"kill -9 {name}", lambda name=name: life.kill(name))  # type: ignore[misc]
        life.step("a service that hangs", lambda: life.hang("service"))
        life.step("down and up", life.down_and_up)
        life.step("backup and restore", life.back_up_and_restore)
        life.step("broken upgrade rolls back", life.broken_upgrade)
        life.step("upgrade while a study comes", life.upgrade)
        life.step("down --volumes", life.end)
    return all(step.well for step in life.steps)


def summary(life: Life) -> dict[str, Any]:
    """Return what was done, for a program."""
    return {
        "steps": [vars(step) for step in life.steps],
        "images": [vars(image) for image in life.images],
        "well": all(step.well for step in life.steps),
    }
