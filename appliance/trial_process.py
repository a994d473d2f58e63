# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The process of a trial: reads one study as a worker does and keeps nothing; the way it ends is the result.

A refusal or an exception in Python is no death: the worker meets it too, and records it. This process ends with the
service, and when memory runs short the kernel kills it first.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from appliance.errors import ModelContractError, RefusedError, UnavailableError
from appliance.imaging.instances import LARGEST_HEADER, Instance, parse_instance
from appliance.inference.served_model import Target
from appliance.job_instances import without_stacks
from appliance.log import describe
from appliance.orthanc import Orthanc
from appliance.orthanc_errors import NotThereError
from appliance.pipeline import Study
from appliance.reading_room import ReadingRoom
from appliance.settings import Settings
from appliance.trial import UNAVAILABLE, Waits

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(room_of: Callable[[Settings], ReadingRoom] = ReadingRoom) -> int:
    """Read the study that standard input names; return the exit status."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    request = json.load(sys.stdin)
    settings = Settings(**request["settings"])
    room = room_of(settings)
    targets = tuple(Target(**target) for target in request["targets"])
    room.follow(lambda: targets)
    waits = Waits(lambda line: os.write(sys.stdout.fileno(), line))
    try:
        with closing(Orthanc(settings.orthanc)) as orthanc, closing(room):
            fetch_header = waits.wrap(lambda name: orthanc.file(name, limit=LARGEST_HEADER))
            instances = without_stacks(_instances(fetch_header, request["instances"]), request["left_out"])
            room.pipeline().answer(Study(request["study"], instances, waits.wrap(orthanc.file)))
    except (UnavailableError, ModelContractError) as error:
        print(describe(error), file=sys.stderr)
        return UNAVAILABLE
    except Exception as error:
        print(describe(error), file=sys.stderr)
    return 0


def _instances(fetch_header: Callable[[str], bytes], names: list[str]) -> tuple[Instance, ...]:
    found = []
    for name in names:
        with contextlib.suppress(RefusedError, NotThereError):
            found.append(parse_instance(name, fetch_header(name)))
    return tuple(found)


if __name__ == "__main__":
    sys.exit(main())
