# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The life of an installed appliance, step by step, on a fresh Debian 12: each step is done for real and checked."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from deploy.install.bundle import lay_out, make_bundle, pack, write_sums
from deploy.install.layout import UNITS, Layout
from simulator.diagnosis import Diagnosis
from simulator.population import CLEAR
from simulator.study import StudySpec, write_study
from tests.install.machine import ROOT, Machine, base_tree

EXPOSURE: Final = 2.5
"""The most that `systemd-analyze security` may say of a unit."""
ANSWER_S: Final = 600.0
PATIENCE_S: Final = 240
"""Longer than the installer's own minute: a machine that tests share is slow."""
_FIRST_SEED: Final = 77_000_000
_BREAKS: Final = '''

def upgrade() -> None:
    """Add a table that the version before does not know."""
    op.create_table("not_known_before", sa.Column("id", sa.Integer, primary_key=True))
'''


@dataclass
class TrialStep:
    """What was done, how long it took, whether it went as it should, and what was seen."""

    name: str
    seconds: float
    well: bool
    seen: str


@dataclass
class Study:
    """A simulated bleeding head: its files, and the UID by which it is asked for."""

    folder: Path
    uid: str


@dataclass
class Trial:
    """One machine and the steps tried on it; `work` is a folder that it may fill, `kept` one that outlives it."""

    work: Path
    kept: Path
    report: Callable[[TrialStep], None]
    steps: list[TrialStep] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.machine = Machine(base_tree(self.kept / "base"), self.work / "machine")
        self._layout = Layout(self.machine.folder)
        self._seeds = itertools.count(_FIRST_SEED)

    def step(self, name: str, do: Callable[[], str]) -> bool:
        """Do one step, note how it went, and return whether it went well."""
        begin = time.monotonic()
        try:
            seen, well = do(), True
        except Exception as error:
            seen, well = f"{type(error).__name__}: {error}", False
        self.steps.append(TrialStep(name, time.monotonic() - begin, well, seen))
        self.report(self.steps[-1])
        return well

    # What is asked of the machine ------------------------------------------------------------------------------------

    def ask(self, *arguments: str) -> Any:
        """Ask the appliance from the machine's network."""
        layout = self._layout
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
        _require(record["state"] == "done", f"its state is {record['state']}")
        _require(record["present"] is True, f"a bleeding head was answered with present={record['present']}")
        found = self.ask("results", study.uid, str(self.work / "results" / study.uid))
        reports = [name for name in found if name.startswith("sr")]
        _require(len(reports) == 1, f"{len(reports)} SRs stand in Orthanc: {sorted(found)}")
        _require(any(name.startswith("seg") for name in found), f"there is no SEG: {sorted(found)}")
        return f"SR and SEG, probability {record['probability']:.3f}, turnaround {record['turnaround_s']:.1f} s"

    def require_well(self) -> None:
        """Wait until `/health/ready` is green, by the installer's own means."""
        end = time.monotonic() + PATIENCE_S
        python = "/opt/hemorrhage-appliance/current/service/bin/python"
        code = "import sys,httpx;sys.exit(httpx.get('http://127.0.0.1:8044/health/ready',timeout=9).status_code!=200)"
        while self.machine.run(python, "-c", code, check=False).returncode != 0:
            _require(time.monotonic() < end, f"not ready after {PATIENCE_S} s")
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

    def current(self) -> str:
        """Return the version that runs."""
        return self._layout.current_version()

    # The steps -------------------------------------------------------------------------------------------------------

    def boot(self) -> str:
        """Boot the machine and see that it has no network."""
        seconds = self.machine.boot()
        _require(not self.machine.has_a_route(), "the machine has a network")
        return f"systemd in {seconds:.0f} s, loopback alone"

    def refuse_a_damaged_bundle(self, bundle: Path) -> str:
        """A bundle with one changed byte is refused, and nothing is installed."""
        path = self.put(bundle)
        damaged = self.machine.folder / "root/damaged.bundle"
        shutil.copy(bundle, damaged)
        with damaged.open("r+b") as file:
            file.seek(damaged.stat().st_size // 2)
            byte = file.read(1)
            file.seek(-1, 1)
            file.write(bytes([byte[0] ^ 0xFF]))
        status, said = self.installer("--offline", "/root/damaged.bundle", check=False)
        damaged.unlink()
        _require(status != 0 and "damaged" in said, f"exit {status}: {said[-300:]}")
        _require(not self._layout.current.is_symlink(), "something was installed")
        return f"refused: {said.strip().splitlines()[-1].replace(path, '')[:120]}"

    def install(self, bundle: Path) -> str:
        """Install from the bundle alone, with answers from a file."""
        (self.machine.folder / "root/answers.toml").write_text('[orthanc]\nsenders = ["CT1@10.0.0.21"]\n')
        _, said = self.installer("--offline", f"/root/{bundle.name}", "--answers", "/root/answers.toml")
        for wanted in ("AE title HEMORRHAGE, port 4243", "CT1@10.0.0.21"):
            _require(wanted in said, f"it does not say {wanted!r}: {said[-800:]}")
        _require(not re.search(r"│ fail", said), "the doctor finds faults")
        _require("ready at http://127.0.0.1:8044" in said, "the doctor does not say that the service is ready")
        return f"{self.current()}, doctor all well"

    def install_again(self, bundle: Path) -> str:
        """A second installation changes neither settings nor secrets."""
        before = self._site_files()
        self.installer("--offline", f"/root/{bundle.name}", "--answers", "/root/answers.toml")
        _require(self._site_files() == before, "settings or secrets have changed")
        other = self.machine.folder / "root/other.toml"
        other.write_text('[orthanc]\naet = "OTHER"\n')
        status, said = self.installer("--offline", f"/root/{bundle.name}", "--answers", "/root/other.toml", check=False)
        _require(status != 0 and "orthanc.aet" in said, f"other answers were not refused: {said[-300:]}")
        return "settings and secrets as before; other answers are refused by name"

    def _site_files(self) -> dict[str, bytes]:
        etc = self._layout.etc
        return {str(path.relative_to(etc)): path.read_bytes() for path in sorted(etc.rglob("*")) if path.is_file()}

    def exposure(self) -> str:
        """Ask systemd how much each unit is allowed to do."""
        found = {}
        for unit in UNITS:
            said = self.machine.run("systemd-analyze", "security", "--no-pager", unit).stdout
            match = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
            _require(match is not None, f"systemd-analyze says nothing of {unit}")
            assert match is not None
            found[unit] = float(match[1])
        _require(max(found.values()) <= EXPOSURE, f"too much: {found}")
        return ", ".join(f"{unit.removesuffix('.service')} {value}" for unit, value in found.items())

    def first_study(self) -> str:
        """Send a study and look at its answer."""
        study = self.new_study()
        sent = self.ask("send", str(study.folder))
        return f"{sent['images']} images; {self.require_answer(study)}"

    def kill(self, unit: str, *, main: bool) -> str:
        """`kill -9` a unit's main process, or the first of its others, while a study comes; it is answered once."""
        pids = self.machine.processes_of(unit)
        victims = pids[:1] if main else pids[1:2]
        _require(bool(victims) and victims[0] > 0, f"there is no such process: {pids}")
        study = self.new_study()
        self.machine.run("sh", "-c", f"kill -9 {victims[0]}")
        sent = self.ask("send", str(study.folder))
        answer = self.require_answer(study)
        restarts = self.machine.run("systemctl", "show", "--property=NRestarts", "--value", unit).stdout.strip()
        _require(int(restarts) > 0, f"systemd has not restarted {unit}")
        return f"sent in {sent['tries']} tries; {answer}; {restarts} restarts"

    def cut_power(self) -> str:
        """Cut the power in the middle of a study and switch the machine on again."""
        study = self.new_study()
        self.ask("send", str(study.folder))
        self.machine.cut_power()
        seconds = self.machine.boot()
        return f"booted in {seconds:.0f} s; {self.require_answer(study)}"

    def reboot(self) -> str:
        """Shut the machine down in order in the middle of a study and switch it on again."""
        study = self.new_study()
        self.ask("send", str(study.folder))
        self.machine.shut_down()
        seconds = self.machine.boot()
        return f"booted in {seconds:.0f} s; {self.require_answer(study)}"

    def upgrade(self, bundle: Path, version: str) -> str:
        """Upgrade while a study comes."""
        old, study = self.current(), self.new_study()
        path = self.put(bundle)
        status, said = self._upgrade_while_sending(path, study)
        _require(status == 0, f"exit {status}: {said[-3000:]}")
        _require(self.current() == version, f"{self.current()} runs")
        copies = list(self._layout.backups.glob(f"ledger-{old}-*.sqlite"))
        _require(len(copies) == 1, "the ledger was not copied")
        return f"{old} -> {version}; the study that came meanwhile: {self.require_answer(study)}"

    def broken_upgrade(self, bundle: Path) -> str:
        """Upgrade to a version that migrates the ledger and never gets ready: it must roll itself back."""
        old, study = self.current(), self.new_study()
        status, said = self._upgrade_while_sending(self.put(bundle), study, patience_s=60)
        _require(status != 0, "a broken version was taken for a good one")
        _require(self.current() == old, f"{self.current()} runs")
        _require(f"{old} runs again" in said, f"it does not say so: {said[-3000:]}")
        self.require_well()
        _require("the ledger is again as it was before" in said, f"the ledger was not taken back: {said[-3000:]}")
        return f"{old} runs again, the ledger taken back; {self.require_answer(study)}"

    def _upgrade_while_sending(self, path: str, study: Study, patience_s: int = PATIENCE_S) -> tuple[int, str]:
        with ThreadPoolExecutor(1) as aside:
            going = aside.submit(
                self.installer, "upgrade", "--offline", path, "--patience-s", str(patience_s), check=False
            )
            while not going.done() and self.machine.run(
                "systemctl", "is-active", "hemorrhage-service.service", check=False
            ).stdout.startswith("active"):
                time.sleep(0.5)
            self.ask("send", str(study.folder))
            return going.result()

    def uninstall(self, bundle: Path) -> str:
        """Remove the programs, look at what is left, and install again: nothing is answered twice."""
        before = self.ask("counts")
        site = self._site_files()
        self.installer("uninstall")
        layout = self._layout
        _require(not layout.home.exists(), f"{layout.home} is there")
        left = [unit for unit in UNITS if (layout.units / unit).exists()]
        _require(not left, f"units are left: {left}")
        _require(self._site_files() == site, "settings or secrets have changed")
        _require((layout.state / "ledger.sqlite").exists(), "the ledger is gone")
        _require(any(layout.archive.iterdir()), "the archive is gone")
        listening = self.machine.run("sh", "-c", "cat /proc/net/tcp /proc/net/tcp6").stdout
        # 0A is LISTEN; connections that have just ended are in the table too.
        taken = [p for p in (4243, 8043, 8044, 8400, 8401) if re.search(rf":{p:04X} \S+ 0A ", listening)]
        _require(not taken, f"ports are still taken: {taken}")
        self.put(bundle)
        self.installer("--offline", f"/root/{bundle.name}")
        time.sleep(15)  # long enough to take up what it should not
        after = self.ask("counts")
        _require(after == before, f"{before} became {after}")
        return f"archive, ledger and settings stay; installed again: {json.dumps(after['instances'])}, none new"

    def purge(self) -> str:
        """Without a yes nothing is deleted; with one everything is."""
        status, said = self.installer("uninstall", "--purge", check=False)
        layout = self._layout
        _require(status != 0 and "nothing was deleted" in said, f"exit {status}: {said[-400:]}")
        _require(layout.settings.exists() and layout.current.is_symlink(), "something is gone")
        _, said = self.installer("uninstall", "--purge", "--yes")
        left = [path for path in (layout.home, layout.data, layout.etc) if path.exists()]
        _require(not left, f"still there: {left}")
        users = (self.machine.folder / "etc/passwd").read_text()
        _require("hemorrhage" not in users, "the users are left")
        return "asks first; then archive, ledger, settings and users are gone"


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)


def broken_bundle(out: Path, cache: Path, version: str) -> Path:
    """Return a bundle of a version that migrates the ledger and then never gets ready."""
    bundle = out / f"hemorrhage-appliance-{version}.bundle"
    with tempfile.TemporaryDirectory(dir=cache) as named:
        folder = Path(named)
        lay_out(ROOT, version, cache, folder)
        migrations = folder / "appliance/ledger/migrations/versions"
        newest = max(migrations.glob("r[0-9]*.py"))
        before = re.search(r'^revision = "(\w+)"', newest.read_text(), re.MULTILINE)
        assert before is not None
        (migrations / "r9999_not_known_before.py").write_text(
            '"""A table that the version before does not know."""\n\n'
            "import sqlalchemy as sa\nfrom alembic import op\n"
            f'\nrevision = "9999"\ndown_revision = "{before[1]}"\nbranch_labels = None\ndepends_on = None\n{_BREAKS}'
        )
        warm_up = folder / "appliance/results/warm_up.py"
        warm_up.write_text(warm_up.read_text() + '\n\ndef warm_up(settings):\n    raise RuntimeError("broken")\n')
        write_sums(folder)
        pack(folder, bundle)
    return bundle


def run(work: Path, kept: Path, report: Callable[[TrialStep], None], *, short: bool = False) -> list[TrialStep]:
    """Go through the whole life, or with `short` its beginning, and return the steps; ends at the first that fails."""
    cache = kept / "cache"
    bundles: dict[str, Path] = {}

    def make(name: str, version: str) -> Callable[[], str]:
        def do() -> str:
            bundles[name] = make_bundle(work, cache, version)
            return f"{bundles[name].stat().st_size / 1e6:.0f} MB"

        return do

    trial = Trial(work, kept, report)
    try:
        good = trial.step("make the bundle", make("one", "1.0.0+one"))
        good = good and trial.step("boot a fresh Debian 12", trial.boot)
        good = good and trial.step("refuse a damaged bundle", lambda: trial.refuse_a_damaged_bundle(bundles["one"]))
        good = good and trial.step("install, the network cut", lambda: trial.install(bundles["one"]))
        good = good and trial.step("first study by C-STORE", trial.first_study)
        good = good and trial.step("systemd-analyze security", trial.exposure)
        if short or not good:
            return trial.steps
        trial.step("install again", lambda: trial.install_again(bundles["one"]))
        for unit in UNITS:
            trial.step(f"kill -9 {unit}", lambda unit=unit: trial.kill(unit, main=True))
        for unit in UNITS[:2]:
            trial.step(f"kill -9 the server of {unit}", lambda unit=unit: trial.kill(unit, main=False))
        trial.step("power cut in the middle of a study", trial.cut_power)
        trial.step("reboot in the middle of a study", trial.reboot)
        if trial.step("make the next bundle", make("two", "1.0.1+two")):
            trial.step("upgrade while a study comes", lambda: trial.upgrade(bundles["two"], "1.0.1+two"))
        bundles["broken"] = broken_bundle(work, cache, "1.0.2+broken")
        trial.step("broken upgrade rolls back", lambda: trial.broken_upgrade(bundles["broken"]))
        trial.step("uninstall and install again", lambda: trial.uninstall(bundles["two"]))
        trial.step("purge", trial.purge)
    finally:
        trial.machine.remove()
    return trial.steps
