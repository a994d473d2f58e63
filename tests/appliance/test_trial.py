# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What is learnt from the end of a process that tried a study; the processes are real."""

from __future__ import annotations

import subprocess
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from appliance import trial
from appliance.errors import UnavailableError
from appliance.models.standing import targets_of
from appliance.orthanc import Orthanc
from appliance.settings import Settings
from appliance.trial import UNAVAILABLE, KillsReaderError, Trial
from tests.appliance.models.site import Site
from tests.appliance.stand_in import head_series


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module that is run in the place of the reader; the test writes it."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path / "stand_in_trial.py"


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that the program makes once it has begun; its time does not run before, however slowly Python starts."""
    file = tmp_path / "begun"

    class Begun(subprocess.Popen[bytes]):
        def communicate(self, input: Any = None, timeout: float | None = None) -> Any:
            while timeout is not None and not file.exists() and self.poll() is None:
                time.sleep(0.01)
            return super().communicate(input, timeout)

    monkeypatch.setattr(subprocess, "Popen", Begun)
    return file


def run(longest_s: float = 600) -> None:
    Trial(Settings(), ["stand_in_trial"], longest_s).run("1.2.3", ["a", "b"])


def test_a_process_that_ends_by_itself_has_read_the_study_it_was_told_of(program: Path) -> None:
    program.write_text(
        "import json, sys\n"
        "request = json.load(sys.stdin)\n"
        "assert request['instances'] == ['a', 'b'] and request['settings']['orthanc']['url']\n"
    )
    run()


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGBUS"])
def test_a_death_by_a_fault_of_the_process_itself_is_evidence(program: Path, name: str) -> None:
    program.write_text(f"import os, signal\nos.kill(os.getpid(), signal.{name})\n")
    with pytest.raises(KillsReaderError, match=f"died by {name}"):
        run()


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM"])
def test_a_process_that_somebody_ended_is_none(program: Path, name: str) -> None:
    program.write_text(f"import os, signal\nos.kill(os.getpid(), signal.{name})\n")
    with pytest.raises(UnavailableError, match=f"from outside .{name}"):
        run()


def test_a_kill_while_the_kernel_killed_for_memory_is_one(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = iter((4, 5))
    monkeypatch.setattr(trial, "_count_killed_for_memory", lambda: next(counts))
    program.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    with pytest.raises(KillsReaderError, match="memory"):
        run()


def test_a_process_that_does_not_end_is_one_and_is_ended(program: Path, begun: Path) -> None:
    program.write_text(
        "import os, time\n"
        f"open({str(begun)!r} + '.new', 'w').write(str(os.getpid()))\n"
        f"os.rename({str(begun)!r} + '.new', {str(begun)!r})\n"
        "time.sleep(999)\n"
    )
    with pytest.raises(KillsReaderError, match="had not ended after 1 s"):
        run(1)
    assert not Path("/proc", begun.read_text()).exists()


def test_a_process_that_orthanc_keeps_waiting_until_the_end_is_none(program: Path, begun: Path) -> None:
    program.write_text(
        "import os, time\n"
        f"os.write(1, {trial.WAITING!r} + b'%f' % time.monotonic())\n"
        f"open({str(begun)!r}, 'w').close()\n"
        "time.sleep(999)\n"
    )
    with pytest.raises(UnavailableError, match="of 1 s went on waiting for Orthanc"):
        run(1)


@pytest.mark.parametrize(
    ("waited_s", "expected"), [(20, KillsReaderError), (290, UnavailableError), (310, UnavailableError)]
)
def test_whether_a_process_that_does_not_end_is_one_follows_from_how_long_orthanc_kept_it_waiting(
    waited_s: float, expected: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    now, lines = [1000.0], [b"what a library prints"]
    monkeypatch.setattr(trial.time, "monotonic", lambda: now[0])

    def fetch(_: str) -> bytes:
        now[0] += waited_s / 10
        return b""

    fetch_and_tell = trial.Waits(lines.append).wrap(fetch)
    for _ in range(10):
        fetch_and_tell("a")
    delay = Trial(Settings(), [], 500)._explain_delay(b"".join(lines), now[0] + 100)
    assert type(delay) is expected


def test_a_neighbour_that_is_away_is_none(program: Path) -> None:
    program.write_text(f"import sys\nprint('Triton is away', file=sys.stderr)\nsys.exit({UNAVAILABLE})\n")
    with pytest.raises(UnavailableError, match="Triton is away"):
        run()


def test_the_real_process_reads_the_study_with_the_version_that_answers(
    settings: Settings, study: str, tmp_path: Path
) -> None:
    site = Site(tmp_path)
    try:
        site.bring(2)
        site.promote(2)
        both = settings.model_copy(update={"triton": site.settings.triton})
        with closing(Orthanc(settings.orthanc)) as orthanc:
            names = [orthanc.store(file)[0] for file in head_series(study)]
        before = [site.count_requests(version) for version in ("1", "2")]
        list_targets = partial(targets_of, site.settings)
        Trial(both, ["appliance.trial_process"], 600, list_targets).run(study, names)
        asked = [site.count_requests(version) - count for version, count in zip(("1", "2"), before, strict=True)]
    finally:
        site.close()
    assert asked == [0, 2]  # the golden chunk, which proves a detector before its first study, and the study's only one


def test_the_real_process_tells_that_orthanc_is_away() -> None:
    settings = Settings().model_copy(
        update={"orthanc": Settings().orthanc.model_copy(update={"url": "http://127.0.0.1:9"})}
    )
    with pytest.raises(UnavailableError, match="does not answer"):
        Trial(settings, ["appliance.trial_process"], 120).run("1.2.3", ["a"])
