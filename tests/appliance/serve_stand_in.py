# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The service as a process of its own, over the stand-in room: `serve_stand_in.py SETTINGS HOLD`.

A study is held in the network as long as the file HOLD is there; HOLD.reached says that one is. As long as the file
HOLD.poison is there, a study kills the process that reads it in the network; as long as HOLD.venom is there, one that
decodes any of its pixels. With `try` for a third argument it is the process of a
trial.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from appliance import trial_process
from appliance.coverage import ends
from appliance.imaging import read
from appliance.imaging.instances import Instance
from appliance.imaging.pixels import hounsfield
from appliance.selection import look
from appliance.serve import serve
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


def let_pixels_kill(venom: Path) -> None:
    """Let every decoding of pixels end this process while the file is there, as a fault of a decoder does."""

    def decode(data: bytes, instance: Instance) -> NDArray[np.int16]:
        if venom.exists():
            os.abort()
        return hounsfield(data, instance)

    for module in (ends, read, look):
        vars(module)["hounsfield"] = decode


def main(settings_file: Path, hold: Path, is_trial: bool) -> None:
    """Serve until told to stop, or try one study."""
    let_pixels_kill(hold.with_suffix(".venom"))
    if is_trial:
        sys.exit(trial_process.main(lambda settings: room_of(settings, settings_file, hold)))
    settings = load_settings(settings_file)
    serve(settings, room_of(settings, settings_file, hold))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:] == ["try"])
