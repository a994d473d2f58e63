# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The service as a process of its own, over the stand-in room: `serve_stand_in.py SETTINGS HOLD`.

A study is held in the network as long as the file HOLD is there; HOLD.reached says that one is. As long as the file
HOLD.poison is there, a study kills the process that reads it. With `try` for a third argument it is the process of a
trial.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from appliance import trial_process
from appliance.service import serve
from appliance.settings import Settings
from appliance.settings_sources import load_settings
from tests.appliance.stand_in import StandInDetector, StandInRoom


def room_of(settings: Settings, settings_file: Path, hold: Path) -> StandInRoom:
    """Return the room of this process."""

    def conduct(_asked: int) -> None:
        if hold.with_suffix(".poison").exists():
            os.abort()
        while hold.exists():
            hold.with_suffix(".reached").touch()
            time.sleep(0.01)

    room = StandInRoom(settings, StandInDetector(conduct))
    room.trial_program = ("tests.appliance.serve_stand_in", str(settings_file), str(hold), "try")
    return room


def main(settings_file: Path, hold: Path, is_trial: bool) -> None:
    """Serve until told to stop, or try one study."""
    if is_trial:
        sys.exit(trial_process.main(lambda settings: room_of(settings, settings_file, hold)))
    settings = load_settings(settings_file)
    serve(settings, room_of(settings, settings_file, hold))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:] == ["try"])
