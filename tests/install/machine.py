# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A fresh Debian 12 under systemd, without a network unless asked: systemd-nspawn on a tree of debootstrap.

It is a machine as the installation meets one: Debian's smallest set of packages with systemd, an init of its own, and
nothing but loopback. Needs root, Debian's debootstrap and systemd-container.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
_PACKAGES: Final = ("systemd", "systemd-sysv", "dbus", "nftables")
"""The smallest Debian and its firewall, which docs/network.md sets."""
_NSPAWN: Final = ("systemd-nspawn", "--register=no", "--keep-unit", "--resolv-conf=off", "--boot", "--console=pipe")
_AUTHORITIES: Final = Path("/etc/ssl/certs/ca-certificates.crt")
"""Those that this machine trusts, one of which may be that of a proxy: pip on a machine with a network trusts them."""
_BOOTING_S: Final = 600.0
_ENDING_S: Final = 60.0


def base_tree(kept: Path) -> Path:
    """Return a tree of Debian 12 that no machine has booted, made in `kept` by debootstrap if it is not there."""
    folder = kept / f"debian-12-{'-'.join(_PACKAGES)}"
    if not folder.exists():
        aside = folder.with_name(f"{folder.name}.new")
        shutil.rmtree(aside, ignore_errors=True)
        aside.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={','.join(_PACKAGES)}", "bookworm", str(aside)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        (aside / "etc/resolv.conf").unlink(missing_ok=True)
        (aside / "etc/machine-id").write_text("")
        aside.rename(folder)
    return folder


class CannotBootError(RuntimeError):
    """systemd-nspawn does not boot a Debian here."""


class Machine:
    """One machine on a private copy of the tree `base`; with `network` it shares this one's."""

    def __init__(self, base: Path, folder: Path, *, network: bool = False) -> None:
        self.folder = folder
        self._network = network
        self._log = folder.with_suffix(".console")
        self._process: subprocess.Popen[bytes] | None = None
        subprocess.run(["cp", "-a", "--reflink=auto", str(base), str(folder)], check=True)
        if network:
            shutil.copy("/etc/resolv.conf", folder / "etc/resolv.conf")
            if _AUTHORITIES.exists():
                # Not in the same place, where Debian writes its own when ca-certificates is installed.
                shutil.copy(_AUTHORITIES, folder / "etc/authorities.crt")
                (folder / "etc/pip.conf").write_text("[global]\ncert = /etc/authorities.crt\n")

    def boot(self) -> float:
        """Switch it on and return how long systemd took until it began to start services, s."""
        begin = time.monotonic()
        network = () if self._network else ("--private-network",)
        with self._log.open("ab") as console:
            self._process = subprocess.Popen(
                [*_NSPAWN, *network, f"--machine=install-{self.folder.name}", f"--directory={self.folder}"],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        while time.monotonic() - begin < _BOOTING_S:
            if self._process.poll() is not None:
                raise CannotBootError(
                    f"the machine ended while it booted: {self._log.read_text(errors='replace')[-2000:]}"
                )
            if self._init() and self.run("systemctl", "is-active", "basic.target", check=False).stdout == "active\n":
                return time.monotonic() - begin
            time.sleep(0.5)
        raise CannotBootError(f"the machine has not booted after {_BOOTING_S:.0f} s")

    def _init(self) -> int:
        """Return the process id of its init as this machine sees it, 0 while there is none."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return int(children[0]) if children else 0

    def cut_power(self) -> None:
        """End everything in it at once; whatever was not on its disk is lost."""
        if self._process is not None and self._process.poll() is None:
            init = self._init()
            if init:
                subprocess.run(["kill", "-9", str(init)], check=False)
            self._process.kill()
            self._process.wait(_ENDING_S)
        self._process = None

    def shut_down(self) -> None:
        """Switch it off in order."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_ENDING_S)
            except subprocess.TimeoutExpired:
                self.cut_power()
        self._process = None

    def remove(self) -> None:
        """Cut the power and delete its tree."""
        self.cut_power()
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, *command: str, check: bool = True, timeout_s: float = 1800) -> subprocess.CompletedProcess[str]:
        """Run a command in it as root and return its output, both streams in one."""
        environment = ["-i", "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8"]
        entered = ["nsenter", "-t", str(self._init()), "-m", "-p", "-u", "-i", "-n", "-C", "env", "--chdir=/"]
        done = subprocess.run(
            [*entered, *environment, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-6000:]}")
        return done

    def from_the_network(self, *arguments: str) -> Any:
        """Run `tests.install.scanner`, this checkout's, on the network of the machine; return its JSON."""
        command = ["nsenter", "-t", str(self._init()), "-n", sys.executable, "-m", "tests.install.scanner", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=1800)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(arguments[:1])}: {done.stderr[-4000:]}")
        return json.loads(done.stdout)

    def has_a_route(self) -> bool:
        """Return whether it could reach anything but itself."""
        command: Sequence[str] = ["nsenter", "-t", str(self._init()), "-n", "cat", "/proc/net/route", "/proc/net/dev"]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        devices = {line.partition(":")[0].strip() for line in lines if ":" in line}
        routes = [line for line in lines if line and not line.startswith(("Iface", "Inter-", " "))]
        return devices != {"lo"} or bool([line for line in routes if ":" not in line])

    def processes_of(self, unit: str) -> list[int]:
        """Return the process ids of a unit as the machine itself counts them, its main process first."""
        main = int(self.run("systemctl", "show", "--property=MainPID", "--value", unit).stdout)
        listed = self.run("systemctl", "show", "--property=ControlGroup", "--value", unit).stdout.strip()
        tasks = self.run(
            "sh",
            "-c",
            f"cat /sys/fs/cgroup/systemd{listed}/cgroup.procs /sys/fs/cgroup{listed}/cgroup.procs 2>/dev/null",
            check=False,
        )
        others = {int(word) for word in tasks.stdout.split()} - {main, 0}
        return [main, *sorted(others)]
