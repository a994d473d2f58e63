# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The life of an installed appliance, step by step, on a fresh Debian 12: each step is done for real and checked."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from deploy.install.layout import UNITS
from tests.install.documented import DROP_IN, FIREWALL, INSTALL, RUN_ON_THE_MACHINE, UNINSTALL, UPGRADE, WRITE_UNITS
from tests.install.moving import BACKUP, back_up, move
from tests.install.site import AGAIN_S, FIRST_SEED, PATIENCE_S, Site, Study, require, upgrading
from tests.stepwise import Stepwise, TrialStep

EXPOSURE: Final = 2.5
"""The most that `systemd-analyze security` may say of a unit."""


class Trial(Site, Stepwise):
    """The steps tried on one machine."""

    def __init__(self, work: Path, kept: Path, report: Callable[[TrialStep], None]) -> None:
        super().__init__(work, kept)
        self.report = report
        self.steps: list[TrialStep] = []

    # The steps -------------------------------------------------------------------------------------------------------

    def boot(self) -> str:
        """Boot the machine and see that it has no network."""
        seconds = self.machine.boot()
        require(not self.machine.has_a_route(), "the machine has a network")
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
        require(status != 0 and "damaged" in said, f"exit {status}: {said[-300:]}")
        require(not self.layout.current.is_symlink(), "something was installed")
        return f"refused: {said.strip().splitlines()[-1].replace(path, '')[:120]}"

    def install(self, bundle: Path) -> str:
        """Install from the bundle alone, with answers from a file."""
        (self.machine.folder / "root/answers.toml").write_text('[orthanc]\nsenders = ["CT1@10.0.0.21"]\n')
        version = bundle.name.removeprefix("hemorrhage-appliance-").removesuffix(".bundle")
        answered = (f"{bundle.name}\n", f"{bundle.name} --answers answers.toml\n")
        _, said = self.run_documented(INSTALL, ("VERSION", version), answered)
        for wanted in ("AE title HEMORRHAGE, port 4243", "CT1@10.0.0.21"):
            require(wanted in said, f"it does not say {wanted!r}: {said[-800:]}")
        require(not re.search(r"│ fail", said), "the doctor finds faults")
        require("ready at http://127.0.0.1:8044" in said, "the doctor does not say that the service is ready")
        require("│ ok │ drift reference " in said, f"no drift reference: {said[-3000:]}")
        return f"{self.current()}, doctor all well"

    def install_again(self, bundle: Path) -> str:
        """A second installation changes neither settings nor secrets."""
        before = self._site_files()
        self.installer("--offline", f"/root/{bundle.name}", "--answers", "/root/answers.toml")
        require(self._site_files() == before, "settings or secrets have changed")
        other = self.machine.folder / "root/other.toml"
        other.write_text('[orthanc]\naet = "OTHER"\n')
        status, said = self.installer("--offline", f"/root/{bundle.name}", "--answers", "/root/other.toml", check=False)
        require(status != 0 and "orthanc.aet" in said, f"other answers were not refused: {said[-300:]}")
        # Root by way of `su` has no /sbin on its PATH.
        self.machine.run("env", "PATH=/usr/local/bin:/usr/bin:/bin", "appliance", "status")
        return "settings and secrets as before; other answers are refused by name"

    def _site_files(self) -> dict[str, bytes]:
        etc = self.layout.etc
        return {str(path.relative_to(etc)): path.read_bytes() for path in sorted(etc.rglob("*")) if path.is_file()}

    def exposure(self) -> str:
        """Ask systemd how much each unit is allowed to do."""
        found = {}
        for unit in UNITS:
            said = self.machine.run("systemd-analyze", "security", "--no-pager", unit).stdout
            match = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
            require(match is not None, f"systemd-analyze says nothing of {unit}")
            assert match is not None
            found[unit] = float(match[1])
        require(max(found.values()) <= EXPOSURE, f"too much: {found}")
        return ", ".join(f"{unit.removesuffix('.service')} {value}" for unit, value in found.items())

    def first_study(self) -> str:
        """Send a study and look at its answer."""
        self.known = self.new_study()
        sent = self.ask("send", str(self.known.folder))
        return f"{sent['images']} images; {self.require_answer(self.known)}"

    def viewer(self) -> str:
        """Fetch the viewer's page and a study's images by DICOMweb, as a browser on the machine does."""
        seen = self.ask("viewer", self.known.uid)
        return f"page and bundle; by DICOMweb {', '.join(seen['modalities'])}, a frame of {seen['frame_bytes']} bytes"

    def kill(self, unit: str, *, main: bool) -> str:
        """`kill -9` a unit's main process, or the first of its others, while a study comes; it is answered once."""
        study = self.new_study()  # takes its time, in which a process may be replaced
        pids = self.machine.processes_of(unit)
        victims = pids[:1] if main else pids[1:2]
        require(bool(victims) and victims[0] > 0, f"there is no such process: {pids}")
        self.machine.run("sh", "-c", f"kill -9 {victims[0]}")
        sent = self.ask("send", str(study.folder))
        answer = self.require_answer(study)
        restarts = self.machine.run("systemctl", "show", "--property=NRestarts", "--value", unit).stdout.strip()
        require(int(restarts) > 0, f"systemd has not restarted {unit}")
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

    def firewall(self) -> str:
        """Close the ports as docs/network.md says, limit a unit as docs/operations.md does, and read a study so."""
        self.run_documented(FIREWALL)
        rules = self.machine.run("nft", "list", "table", "inet", "hemorrhage").stdout
        require(rules.count("drop") == 4, f"the rules are {rules}")
        drop_in = self.layout.units / "hemorrhage-orthanc.service.d/override.conf"
        drop_in.parent.mkdir()
        drop_in.write_text(DROP_IN.block().text)
        self.documented.add(DROP_IN)
        self.run_documented(WRITE_UNITS)
        allowed = self.machine.run(
            "systemctl", "show", "--property=IPAddressDeny", "--value", "hemorrhage-orthanc"
        ).stdout
        require(allowed.strip() != "", "the drop-in has no effect")
        self.require_well()
        return f"closed; {self.first_study()}"

    def back_up(self) -> str:
        """Back up, and let a study come that the backup does not know."""
        self.backed_up = back_up(self)
        size = (self.machine.folder / BACKUP).stat().st_size
        return f"{size / 1e3:.0f} kB, and the archive; a study came after it"

    def restore_elsewhere(self, bundle: Path) -> str:
        """Switch this machine off, and restore the backup on a fresh one."""
        self.machine.shut_down()
        new = Site(self.work / "new", self.kept, FIRST_SEED + 1_000_000)
        try:
            return move(self, new, self.backed_up, self.known, bundle)
        finally:
            self.documented |= new.documented
            new.machine.remove()
            self.machine.boot()
            self.require_well()

    def upgrade(self, bundle: Path, version: str) -> str:
        """Upgrade while a study comes."""
        old, study = self.current(), self.new_study()
        path = self.put(bundle)
        status, said = self._upgrade_while_sending(path, study)
        require(status == 0, f"exit {status}: {said[-3000:]}")
        require(self.current() == version, f"{self.current()} runs")
        copies = list(self.layout.backups.glob(f"ledger-{old}-*.sqlite"))
        require(len(copies) == 1, "the ledger was not copied")
        return f"{old} -> {version}; the study that came meanwhile: {self.require_answer(study)}"

    def broken_upgrade(self, bundle: Path) -> str:
        """Upgrade to a version that migrates the ledger and never gets ready: it must roll itself back."""
        old, study = self.current(), self.new_study()
        status, said = self._upgrade_while_sending(self.put(bundle), study, patience_s=60)
        require(status != 0, "a broken version was taken for a good one")
        require(self.current() == old, f"{self.current()} runs")
        require(f"{old} runs again" in said, f"it does not say so: {said[-3000:]}")
        self.require_well()
        require("the ledger is again as it was before" in said, f"the ledger was not taken back: {said[-3000:]}")
        return f"{old} runs again, the ledger taken back; {self.require_answer(study)}"

    def _upgrade_while_sending(self, path: str, study: Study, patience_s: int = PATIENCE_S) -> tuple[int, str]:
        with ThreadPoolExecutor(1) as aside:
            going = aside.submit(
                self.run_documented,
                UPGRADE,
                *upgrading(path.removeprefix("/root/"), patience_s),
                check=False,
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
        self.run_documented(UNINSTALL, (self._purge_line(), ""))
        layout = self.layout
        require(not layout.home.exists(), f"{layout.home} is there")
        left = [unit for unit in UNITS if (layout.units / unit).exists()]
        require(not left, f"units are left: {left}")
        require(self._site_files() == site, "settings or secrets have changed")
        require((layout.state / "ledger.sqlite").exists(), "the ledger is gone")
        require(any(layout.archive.iterdir()), "the archive is gone")
        listening = self.machine.run("sh", "-c", "cat /proc/net/tcp /proc/net/tcp6").stdout
        # 0A is LISTEN; connections that have just ended are in the table too.
        taken = [p for p in (4243, 8043, 8044, 8400, 8401) if re.search(rf":{p:04X} \S+ 0A ", listening)]
        require(not taken, f"ports are still taken: {taken}")
        self.put(bundle)
        self.installer("--offline", f"/root/{bundle.name}")
        time.sleep(AGAIN_S)
        after = self.ask("counts")
        require(after == before, f"{before} became {after}")
        return f"archive, ledger and settings stay; installed again: {json.dumps(after['instances'])}, none new"

    @staticmethod
    def _purge_line() -> str:
        (line,) = [line for line in UNINSTALL.block().text.splitlines() if "--purge" in line]
        return line

    def documents(self) -> str:
        """Look whether every block that the documents' test leaves to this trial has run."""
        left = [f"{one.page}: {one.words}" for one in RUN_ON_THE_MACHINE if one not in self.documented]
        require(not left, f"not run: {left}")
        return f"{len(self.documented)} blocks of docs/ ran as they stand"

    def purge(self) -> str:
        """Without a yes nothing is deleted; with one everything is."""
        status, said = self.machine_says(self._purge_line())
        layout = self.layout
        require(status != 0 and "nothing was deleted" in said, f"exit {status}: {said[-400:]}")
        require(layout.settings.exists() and layout.current.is_symlink(), "something is gone")
        self.machine_says(self._purge_line().replace("--purge", "--purge --yes"))
        left = [path for path in (layout.home, layout.data, layout.etc) if path.exists()]
        require(not left, f"still there: {left}")
        users = (self.machine.folder / "etc/passwd").read_text()
        require("hemorrhage" not in users, "the users are left")
        return "asks first; then archive, ledger, settings and users are gone"
