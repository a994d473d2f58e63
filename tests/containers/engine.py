# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""podman with a store of its own, which leaves the machine's images alone, and the Compose file of one site in it."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from deploy.local.ports import free_ports

ROOT: Final = Path(__file__).resolve().parents[2]
SHIPPED: Final = ROOT / "deploy/containers"
GATEWAY: Final = "10.203.44.1"
_SUBNET: Final = "10.203.44.0/29"
_CONTAINERS: Final = """
[containers]
default_ulimits = []
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
_STORAGE: Final = """
[storage]
driver = "overlay"
graphroot = "{folder}/images"
runroot = "{folder}/run"
"""


def use_own_store(folder: Path) -> None:
    """Have every podman that this process starts use a store in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("containers.conf", _CONTAINERS), ("storage.conf", _STORAGE.format(folder=folder))):
        (folder / name).write_text(text)
    os.environ["CONTAINERS_CONF"] = str(folder / "containers.conf")
    os.environ["CONTAINERS_STORAGE_CONF"] = str(folder / "storage.conf")


def remove_store(folder: Path) -> None:
    """Remove the store with everything in it."""
    subprocess.run(["podman", "system", "reset", "--force"], check=False, capture_output=True)
    shutil.rmtree(folder, ignore_errors=True)


def base_tree(folder: Path) -> Path:
    """Return Debian's smallest root file system, made by debootstrap if it is not there."""
    if not folder.exists():
        aside = folder.with_name(f"{folder.name}.new")
        shutil.rmtree(aside, ignore_errors=True)
        aside.parent.mkdir(parents=True, exist_ok=True)
        command = ["debootstrap", "--variant=minbase", "bookworm", str(aside)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        aside.rename(folder)
    return folder


class Site:
    """One site's folder with the shipped Compose file, on ports that are free, and what runs from it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.dicom_port, https_port = free_ports(2)
        folder.mkdir(parents=True)
        text = (SHIPPED / "compose.yaml").read_text()
        for inner, outer in ((4243, self.dicom_port), (8443, https_port)):
            assert text.count(f'"127.0.0.1:{inner}:{inner}"') == 1
            text = text.replace(f'"127.0.0.1:{inner}:{inner}"', f'"127.0.0.1:{outer}:{inner}"')
        (folder / "compose.yaml").write_text(text)
        (folder / "compose.override.yaml").write_text(
            f"networks:\n  default:\n    ipam:\n      config: [{{subnet: {_SUBNET}}}]\n"
        )
        settings = (SHIPPED / "appliance.toml").read_text()
        self.settings = folder / "appliance.toml"
        self.settings.write_text(settings.replace("senders = []", f'senders = ["CT1@{GATEWAY}"]'))
        self.secrets = folder / "secrets"
        self.secrets.mkdir(mode=0o500)
        for name, secret in (("orthanc.username", "appliance"), ("orthanc.password", ""), ("triton.secret", "")):
            file = self.secrets / name
            file.write_text((secret or secrets.token_urlsafe(24)) + "\n")
            file.chmod(0o400)
            os.chown(file, 10001, 10001)
        os.chown(self.secrets, 10001, 10001)

    def compose(self, *arguments: str) -> str:
        """Run podman-compose in the site's folder and return its output."""
        command = [str(Path(sys.executable).with_name("podman-compose")), *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"podman-compose {arguments[0]}: {(done.stdout + done.stderr)[-2000:]}")
        return done.stdout

    def upgrade(self, new: Path, patience_s: int) -> tuple[int, str]:
        """Run the new version's `upgrade.sh`, as the handbook says; return its exit status and output."""
        subprocess.run(["tar", "-xf", str(new / "compose.tar.gz"), "upgrade.sh"], cwd=self.folder, check=True)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # podman-compose is beside this Python
        done = subprocess.run(
            ["sh", "upgrade.sh", "--patience-s", str(patience_s), str(new)],
            cwd=self.folder,
            env=os.environ | {"PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def inspect(self, name: str) -> dict[str, Any]:
        """Return what podman knows of a container."""
        found = json.loads(podman("container", "inspect", container(name)))
        known: dict[str, Any] = found[0]
        return known

    def main_process(self, name: str) -> int:
        """Return the process id of a container's first process as this machine sees it; 0 while it does not run."""
        return int(self.inspect(name)["State"]["Pid"])

    def execute(self, name: str, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in a container."""
        done = subprocess.run(
            ["podman", "exec", container(name), *command], capture_output=True, text=True, check=False
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"{command[0]} in {name}: {(done.stdout + done.stderr)[-1000:]}")
        return done

    def ask(self, *arguments: str) -> Any:
        """Ask the appliance on the loopback that its containers share, as `tests.install.scanner` does."""
        end = time.monotonic() + 120
        while True:
            place = ["nsenter", "--target", str(self.main_process("network")), "--net"]
            asked = [sys.executable, "-m", "tests.install.scanner", str(self.settings), str(self.secrets), *arguments]
            done = subprocess.run([*place, *asked], cwd=ROOT, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return json.loads(done.stdout.splitlines()[-1])
            if time.monotonic() > end:
                raise RuntimeError(f"{arguments[0]}: {done.stderr[-1500:]}")
            time.sleep(2)

    def send(self, files: list[Path]) -> int:
        """Send a study to the published port until Orthanc has all of it, as a scanner does; return the tries."""
        end = time.monotonic() + 300
        tries = 0
        while True:
            tries += 1
            command = ["storescu", "--required", "-aet", "CT1", "-aec", "HEMORRHAGE", "127.0.0.1", str(self.dicom_port)]
            done = subprocess.run([*command, *map(str, files)], capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return tries
            if time.monotonic() > end:
                raise RuntimeError(f"storescu: {(done.stdout + done.stderr)[-500:]}")
            time.sleep(1)


def container(name: str) -> str:
    """Return podman's name of one of the containers."""
    return f"hemorrhage_{name}_1"


def podman(*arguments: str) -> str:
    """Return the output of podman."""
    done = subprocess.run(["podman", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"podman {arguments[0]}: {done.stderr[-1000:]}")
    return done.stdout


def capabilities(process: int) -> int:
    """Return the capabilities that a process has or could get, as a mask."""
    status = Path(f"/proc/{process}/status").read_text()
    return sum(int(value, 16) for value in re.findall(r"^Cap(?:Prm|Eff|Bnd|Amb):\s*([0-9a-f]+)$", status, re.MULTILINE))
