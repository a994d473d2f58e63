# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""systemd's units as they are written for a site."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.sections.orthanc import OrthancSettings
from appliance.settings import Settings
from deploy.install.layout import TARGET, UNITS, Layout
from deploy.install.units import remove_units, write_units

ROOT = Path(__file__).parents[3]


def written(tmp_path: Path, settings: Settings | None = None) -> Layout:
    layout = Layout(tmp_path)
    write_units(layout, settings or Settings(state_dir=layout.state))
    return layout


def test_no_place_is_left_open_in_a_unit(tmp_path: Path) -> None:
    layout = written(tmp_path)
    for file in (*(layout.units / unit for unit in (*UNITS, TARGET)), layout.command):
        assert not re.search(r"@[A-Z_]+@", file.read_text()), file


@pytest.mark.parametrize("unit", UNITS)
def test_each_unit_is_hardened_watched_and_started_again(tmp_path: Path, unit: str) -> None:
    lines = (written(tmp_path).units / unit).read_text().splitlines()
    for line in ("NoNewPrivileges=yes", "CapabilityBoundingSet=", "ProtectSystem=strict", "Restart=always"):
        assert line in lines
    assert "WatchdogSec=60" in lines
    assert "StartLimitIntervalSec=0" in lines, "systemd would give up"


def test_only_the_archive_and_the_state_folder_can_be_written_where_the_settings_place_them(tmp_path: Path) -> None:
    settings = Settings(state_dir="/srv/state", orthanc=OrthancSettings(storage="/srv/archive"))
    layout = written(tmp_path, settings)
    assert "ReadWritePaths=/srv/archive\n" in (layout.units / UNITS[0]).read_text()
    assert "ReadWritePaths=/srv/state\n" in (layout.units / UNITS[1]).read_text()


@pytest.mark.parametrize("planted", ["appliance/__init__.py", "typer.py"])
def test_the_command_runs_nothing_that_lies_in_the_folder_it_is_called_in(tmp_path: Path, planted: str) -> None:
    layout = written(tmp_path / "machine")
    python = layout.current / "service/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    called_in = tmp_path / "downloads"
    (called_in / "appliance").mkdir(parents=True)
    (called_in / planted).write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    # `analyze` stays who called it, so that this runs in the same way whether root calls it or not.
    done = subprocess.run(
        ["sh", str(layout.command), "analyze", "--help"],
        cwd=called_in,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not (tmp_path / "ran").exists(), "it ran what was planted"
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("unit", UNITS)
def test_no_unit_takes_a_module_from_its_working_folder(tmp_path: Path, unit: str) -> None:
    words = [line.split() for line in (written(tmp_path).units / unit).read_text().splitlines() if "=" in line]
    assert any("PYTHONSAFEPATH=1" in line[1:] for line in words if line[0].startswith("Environment="))


def test_triton_and_the_service_see_each_others_memory(tmp_path: Path) -> None:
    layout = written(tmp_path)
    for unit in UNITS[1:]:
        lines = (layout.units / unit).read_text().splitlines()
        assert "PrivateUsers=yes" not in lines, "each would take the other's memory for that of the dead"
        assert "RemoveIPC=yes" not in lines


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_understands_every_line(tmp_path: Path) -> None:
    layout = written(tmp_path)
    for unit in UNITS:
        checked = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", str(layout.units / unit)],
            capture_output=True,
            text=True,
            check=False,
        )
        complaints = [line for line in checked.stderr.splitlines() if "Unknown" in line or "Failed to parse" in line]
        assert not complaints


def test_removing_takes_away_all_that_was_written(tmp_path: Path) -> None:
    layout = written(tmp_path)
    remove_units(layout)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    remove_units(layout)
