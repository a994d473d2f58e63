# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A pid file holds as long as its process lives."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from training.lock import AlreadyRunningError, hold, holder

HOLDER = "import sys, time\nfrom pathlib import Path\nfrom training.lock import hold\n" + (
    "with hold(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(3600)\n"
)


def test_a_second_process_is_refused_with_the_number_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "run.pid"
    assert holder(path) is None
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        try:
            assert holder(path) == other.pid
            with pytest.raises(AlreadyRunningError, match=f"already run by process {other.pid}"), hold(path):
                pass
        finally:
            other.kill()
    assert holder(path) is None  # killed without a chance to clean up
    with hold(path):
        assert path.read_text() == f"{os.getpid()}\n"


def test_a_number_left_in_the_file_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "run.pid"
    path.write_text(f"{os.getpid()}\n")
    assert holder(path) is None


def test_who_only_asks_keeps_nobody_from_starting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.pid"
    path.touch()
    with path.open() as asked:
        fcntl.flock(asked, fcntl.LOCK_SH)  # as `holder` does for a moment
        monkeypatch.setattr("training.lock.time.sleep", lambda _: fcntl.flock(asked, fcntl.LOCK_UN))
        with hold(path):
            assert holder(path) == os.getpid()
