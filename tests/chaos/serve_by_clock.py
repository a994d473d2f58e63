# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The service on a clock that can be moved: `CHAOS_CLOCK` names a file with the seconds by which it is ahead.

`appliance` is called as usual. The clock is the one that says what time it is; what measures how long something takes
goes on evenly, as it does on a machine whose clock is set.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

CLOCK: Final = "CHAOS_CLOCK"


def moved(file: Path) -> float:
    """Return how far the clock is ahead, s; 0 where the file says nothing."""
    try:
        return float(file.read_text())
    except (OSError, ValueError):
        return 0.0


def serve() -> None:
    """Run `appliance` on the clock."""
    file, true = Path(os.environ[CLOCK]), time.time
    time.time = lambda: true() + moved(file)  # before anybody takes it

    from appliance.cli import app

    app(prog_name="appliance")


if __name__ == "__main__":
    serve()
