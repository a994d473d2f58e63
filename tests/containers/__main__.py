# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.containers`: the images built, and an appliance of them run, killed, restored and removed, by root.

It needs Debian's podman, buildah, runc, netavark, aardvark-dns, iptables, debootstrap and dcmtk, and 15 GB on the disk,
in a store of its own that it removes again.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Final

import typer

from tests.containers.engine import remove_store, use_own_store
from tests.containers.life import Life, run, summary
from tests.stepwise import TrialStep

_PROGRAMS: Final = ("podman", "buildah", "runc", "iptables", "debootstrap", "storescu")
"""The container that holds the network does not start without iptables, and podman-compose waits for it for ever."""


def _report(step: TrialStep) -> None:
    mark = "" if step.well else "FAILED: "
    print(f"| {step.name} | {step.seconds / 60:.1f} | {mark}{step.seen} |", flush=True)


def main(
    kept: Annotated[Path, typer.Option(help="Folder that keeps the base and what was downloaded")] = Path(
        "var/containers"
    ),
    as_json: Annotated[Path | None, typer.Option("--json", help="Write what was seen into this file too")] = None,
) -> None:
    """Try the appliance in containers."""
    if missing := [name for name in _PROGRAMS if shutil.which(name) is None]:
        wanted = "podman buildah runc netavark aardvark-dns iptables debootstrap dcmtk"
        sys.exit(f"{', '.join(missing)} missing: apt install {wanted}")
    folder = Path(tempfile.mkdtemp(prefix="containers-", dir="/var/tmp"))
    use_own_store(folder / "store")
    life = Life(folder / "work", kept.absolute(), _report)
    (folder / "work").mkdir()
    print("| step | minutes | seen |\n|---|---|---|", flush=True)
    try:
        well = run(life)
        if as_json is not None:
            as_json.write_text(json.dumps(summary(life), indent=2) + "\n")
    finally:
        subprocess.run(["podman", "rm", "--all", "--force", "--time", "1"], check=False, capture_output=True)
        remove_store(folder / "store")
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    typer.run(main)
