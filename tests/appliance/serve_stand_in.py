# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The service as a process of its own, over the stand-in room: `serve_stand_in.py SETTINGS HOLD`.

A study is held in the network as long as the file HOLD is there; HOLD.reached says that one is.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from appliance.service import serve
from appliance.settings import load_settings
from tests.appliance.stand_in import StandInDetector, StandInRoom


def main(settings_file: Path, hold: Path) -> None:
    """Serve until told to stop."""

    def conduct(_asked: int) -> None:
        while hold.exists():
            hold.with_suffix(".reached").touch()
            time.sleep(0.01)

    settings = load_settings(settings_file)
    serve(settings, StandInRoom(settings, StandInDetector(conduct)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
