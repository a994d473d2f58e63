# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What is tried on a fresh machine of its own: an upgrade from a former release, and an installation with a network."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from pathlib import Path

from deploy.install.bundle import make_bundle, tracked_files
from tests.install.documented import UPGRADE
from tests.install.machine import ROOT
from tests.install.site import AGAIN_S, FIRST_SEED, Site, require, upgrading


def upgrade_from(work: Path, kept: Path, old: Path, bundle: Path, version: str) -> str:
    """Install a former release, answer a study there, and upgrade: nothing is answered again."""
    site = Site(work, kept, FIRST_SEED + 3_000_000)
    try:
        site.machine.boot()
        site.put(old)
        site.installer("--offline", f"/root/{old.name}")
        study = site.new_study()
        site.ask("send", str(study.folder))
        first = site.require_answer(study)
        before, former = site.holdings(), site.current()
        site.put(bundle)
        site.run_documented(UPGRADE, *upgrading(bundle.name))
        require(site.current() == version, f"{site.current()} runs")
        site.ask("send", str(study.folder))
        time.sleep(AGAIN_S)
        require(site.holdings() == before, f"{before} became {site.holdings()}")
        study = site.new_study()
        site.ask("send", str(study.folder))
        return f"{former}: {first}; then {version}, nothing answered again: {site.require_answer(study)}"
    finally:
        site.machine.remove()


def install_online(work: Path, kept: Path) -> str:
    """Install from a checkout on a machine that has a network, and read a study."""
    site = Site(work, kept, FIRST_SEED + 2_000_000, network=True)
    try:
        site.machine.boot()
        for name in tracked_files(ROOT):
            (site.machine.folder / "root/checkout" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, site.machine.folder / "root/checkout" / name)
        said = site.machine.run("sh", "/root/checkout/deploy/install.sh").stdout
        require(not re.search(r"│ fail", said), f"the doctor finds faults: {said[-3000:]}")
        study = site.new_study()
        site.ask("send", str(study.folder))
        return f"{site.current()} from Debian and PyPI; {site.require_answer(study)}"
    finally:
        site.machine.remove()


def former_bundle(out: Path, cache: Path, commit: str) -> Path:
    """Return the bundle of another commit of this repository."""
    checkout = out / "checkout"
    git = ["git", "-c", f"safe.directory={ROOT}"]
    subprocess.run([*git, "clone", "--quiet", "--no-checkout", str(ROOT), str(checkout)], check=True)
    subprocess.run(["git", "-C", str(checkout), "checkout", "--quiet", commit], check=True)
    return make_bundle(out, cache, root=checkout)
