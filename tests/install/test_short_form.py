# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The short form of `python -m tests.install`: on a fresh Debian 12 with its own systemd, from bundle to SR and purge.

It proves the bundle, the offline installation with a doctor that finds no fault, the units under systemd and their
hardening, one study, and the purge. Kills, reboots, backups, upgrades and rollbacks are in the long form alone.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.install.life import run
from tests.install.machine import ROOT, CannotBootError, Machine, base_tree
from tests.stepwise import TrialStep

KEPT = ROOT / "var" / "install"
ROOM_GB = 8
TOOLS = ("debootstrap", "systemd-nspawn", "storescu")


def requirements() -> str:
    """Return why a machine cannot be tried here, empty if it can."""
    missing = [tool for tool in TOOLS if shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin") is None]
    if missing:
        return f"{', '.join(missing)} not here: apt-get install debootstrap systemd-container dcmtk"
    if os.geteuid() != 0:
        return "only root can boot a machine"
    if (free := shutil.disk_usage(ROOT).free / 1e9) < ROOM_GB:
        return f"{free:.0f} GB are free, and {ROOM_GB} are needed"
    return ""


@pytest.fixture
def kept() -> Path:
    """A folder with the tree of a fresh Debian that boots here."""
    if why := requirements():
        pytest.skip(why)
    KEPT.mkdir(parents=True, exist_ok=True)
    try:
        tree = base_tree(KEPT)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"debootstrap could not make a Debian 12: {error}")
    with tempfile.TemporaryDirectory(dir=KEPT, prefix="boots-") as folder:
        machine = Machine(tree, Path(folder) / "machine")
        try:
            machine.boot()
        except CannotBootError as error:
            pytest.skip(f"systemd-nspawn boots no Debian here: {error}")
        finally:
            machine.remove()
    return KEPT


def test_a_bundle_installs_on_a_fresh_debian_without_a_network_reads_a_study_and_is_purged(kept: Path) -> None:
    seen: list[TrialStep] = []
    with tempfile.TemporaryDirectory(dir=kept, prefix="trial-") as work:
        steps = run(Path(work), kept, seen.append, short=True)
    # What is not as its hash says is a fault; what cannot be reached is none of the installation's.
    if steps[0].seen.startswith("UnavailableError") and not re.search(r"hash|sha\d|MB", steps[0].seen):
        pytest.skip(f"the bundle cannot be fetched here: {steps[0].seen}")
    assert [f"{step.name}: {step.seen}" for step in steps if not step.well] == []
    assert [step.name for step in steps] == [
        "make the bundle",
        "boot a fresh Debian 12",
        "refuse a damaged bundle",
        "install, the network cut",
        "first study by C-STORE",
        "the viewer",
        "systemd-analyze security",
        "purge",
    ]
