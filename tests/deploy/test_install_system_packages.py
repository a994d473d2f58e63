# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The script that installs Debian's packages, where it must not install anything."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "deploy" / "install-system-packages.sh"


def test_with_everything_there_it_says_and_does_nothing() -> None:
    done = subprocess.run(["sh", SCRIPT, "tests"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_without_root_or_sudo_it_names_what_is_missing_and_what_to_run() -> None:
    setpriv = shutil.which("setpriv")
    nobody = [str(setpriv), "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory() as folder:  # not one of pytest's, which are their owner's alone
        tools = Path(folder)
        tools.chmod(0o755)
        for tool in ("sh", "id", "test"):  # no storescu, no dciodvfy, no Python, no sudo
            (tools / tool).symlink_to(str(shutil.which(tool)))
        done = subprocess.run(
            [*nobody, "/bin/sh", "-s"],
            input=SCRIPT.read_text(),
            env={"PATH": folder},
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1, done.stderr
    assert "installing from Debian: dcmtk dicom3tools supervisor python3-venv" in done.stdout
    assert "apt-get install dcmtk dicom3tools supervisor python3-venv" in done.stderr
