# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The command `appliance` as a process of its own, as people run it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from deploy.local.appliance import ROOT


def appliance(*arguments: str | Path, columns: int = 120) -> subprocess.CompletedProcess[str]:
    """Run the command with these arguments, and no settings from the environment; return how it ended."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("APPLIANCE_")}
    return subprocess.run(
        [sys.executable, "-m", "appliance", *map(str, arguments)],
        cwd=ROOT,
        env={**kept, "COLUMNS": str(columns)},
        capture_output=True,
        text=True,
        check=False,
    )
