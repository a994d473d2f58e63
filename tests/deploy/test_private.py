# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Nobody but the owner reads what the appliance keeps, whatever umask it was started with."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.inference.regions import region_prefix, stem
from appliance.private import close_to_others
from appliance.process import Process
from appliance.sections.triton import TritonSettings
from appliance.settings import Settings
from deploy.local.appliance import ROOT
from deploy.local.ports import with_free_ports
from deploy.local.records import read
from deploy.local.settings_file import write_settings
from deploy.local.storescu import send
from deploy.local.supervisor import Control
from tests.appliance.inference.blob_detector import write_repository
from tests.orthanc_plugin.small_ct import small_series


@pytest.fixture
def careless() -> Iterator[None]:
    """A process whose files anybody may read and write."""
    before = os.umask(0)
    yield
    os.umask(before)


def open_to_others(*paths: Path) -> list[Path]:
    """Return what group or others have a right to, of these and all below them."""
    every = [path for top in paths for path in (top, *top.rglob("*")) if not path.is_symlink()]
    return [path for path in every if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)]


@pytest.mark.usefixtures("careless")
def test_a_started_process_makes_files_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    process = Process("one that writes", folder / "its.log", die_with_parent=True)
    program = "import pathlib; p = pathlib.Path('made'); p.mkdir(); (p / 'slice').write_text('x'); print('done')"
    process.launch([sys.executable, "-c", program], os.environ, tmp_path)
    process.wait_until(lambda: (tmp_path / "made" / "slice").exists(), 240)
    process.stop()
    assert open_to_others(folder, tmp_path / "made") == []


def test_what_an_older_version_left_open_is_closed_and_nothing_of_others_is(tmp_path: Path) -> None:
    ours, target = tmp_path / "ledger.sqlite", tmp_path / "target"
    for path in (ours, target):
        path.touch()
        path.chmod(0o666)
    (tmp_path / "link").symlink_to(target)
    close_to_others([ours, tmp_path / "link", tmp_path / "nowhere"])
    assert ours.stat().st_mode & 0o777 == 0o600
    assert target.stat().st_mode & 0o777 == 0o666


@pytest.mark.end_to_end
@pytest.mark.usefixtures("careless")
def test_up_keeps_ledger_slices_logs_credentials_and_shared_memory_to_its_owner(tmp_path: Path) -> None:
    write_repository(tmp_path / "models")
    settings = with_free_ports(
        Settings(triton=TritonSettings(model_repository=tmp_path / "models")), tmp_path / "state"
    )
    left = settings.state_dir / "orthanc"
    left.mkdir(parents=True)  # as an older version left it: readable by all
    file = write_settings(settings, tmp_path / "appliance.toml")

    def run(name: str) -> subprocess.CompletedProcess[str]:
        call = [sys.executable, "-m", "deploy.local", name, "--settings", str(file)]
        return subprocess.run(call, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)

    try:
        up = run("up")
        assert up.returncode == 0, up.stderr
        assert ("as root" in up.stderr) is (os.geteuid() == 0)
        send(small_series(tmp_path / "series", 2), settings.orthanc)
        made = [path for path in settings.state_dir.iterdir() if path.name != "state"]
        names = {path.name for path in settings.state_dir.rglob("*")}
        assert {"ledger.sqlite", "credentials.toml", "orthanc.log", "triton.log", "service.log", "index"} <= names
        assert len([path for path in (left / "storage").rglob("*") if path.is_file()]) > 2
        assert open_to_others(*made) == []
        # Other tests have regions there too, which come and go.
        service = Control(settings.state_dir / "supervisor" / "control.sock").programs()["service"]
        for own in (region_prefix(settings.triton), f"{stem()}{service.pid}-"):
            regions = list(Path("/dev/shm").glob(f"{own}*"))
            assert regions, own
            assert open_to_others(*regions) == []
    finally:
        if read(settings.state_dir):
            run("down")
