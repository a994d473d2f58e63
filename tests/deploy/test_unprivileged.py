# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`make up` as root: the servers run as a user without rights, where such a user can run them at all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.sections.supervisor import SupervisorSettings
from appliance.sections.triton import TritonSettings
from appliance.settings import Settings
from deploy.local.orthanc import ROOT
from deploy.local.ports import with_free_ports
from deploy.local.records import read
from deploy.local.settings_file import write_settings
from deploy.local.supervisor import Control
from deploy.local.unprivileged import find_user, nobody
from tests.appliance.inference.blob_detector import write_repository

SYSTEM_PYTHON = Path("/usr/bin/python3.11")
UNUSED = ("__pycache__", "dcmqi", "matplotlib", "mypy", "openvino", "pip", "sklearn")
"""Packages that no server of this test needs, and that are large."""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives rights away, which root alone can")


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that everybody may enter, which pytest's are not, and what is put into it, under whatever umask."""
    before = os.umask(0o022)
    folder = Path(tempfile.mkdtemp(prefix="hemorrhage-public-"))
    folder.chmod(0o755)
    yield folder
    os.umask(before)
    shutil.rmtree(folder)


@as_root
def test_what_another_user_cannot_run_is_told_with_the_reason(public: Path) -> None:
    user = nobody()
    assert user is not None
    assert user.explain_refusal(["true"], public) == ""
    closed = public / "closed"
    closed.mkdir(mode=0o700)
    (closed / "program").symlink_to("/bin/true")
    assert "ermission" in user.explain_refusal([str(closed / "program")], public)
    assert user.explain_refusal([str(SYSTEM_PYTHON), "-c", "raise SystemExit('no module')"], public) == "no module"


@as_root
def test_what_root_owned_in_a_state_folder_is_given_away_and_nothing_behind_a_link(public: Path) -> None:
    user = nobody()
    assert user is not None
    state, outside = public / "state", public / "outside"
    (state / "orthanc").mkdir(parents=True)
    (state / "orthanc" / "index").touch()
    outside.touch()
    (state / "link").symlink_to(outside)
    user.own_all(state)
    assert {path.lstat().st_uid for path in (state, *state.rglob("*"))} == {user.uid}
    assert outside.stat().st_uid == 0


@as_root
@pytest.mark.end_to_end
def test_up_as_root_runs_all_as_a_user_without_rights_who_owns_the_state(public: Path) -> None:
    """The checkout, its environments and their Python may lie where root alone may enter: all are put elsewhere."""
    checkout = checkout_in(public / "checkout")
    service = environment(public / "venv", Path(sys.prefix))
    triton = environment(public / "venv-triton", ROOT / ".venv-triton")
    write_repository(public / "models")
    for path in (public / "models").rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    (public / "models").chmod(0o755)
    settings = with_free_ports(
        Settings(
            triton=TritonSettings(model_repository=public / "models", environment=triton),
            supervisor=SupervisorSettings(user="games"),  # a user of Debian's that owns nothing here
        ),
        public / "state",
    )
    file = write_settings(settings, public / "appliance.toml")

    def run(name: str) -> subprocess.CompletedProcess[str]:
        call = [service / "bin" / "python", "-m", "deploy.local", name, "--settings", str(file)]
        return subprocess.run(call, cwd=checkout, capture_output=True, text=True, timeout=300, check=False)

    games = find_user("games")
    assert games is not None
    try:
        for _ in range(2):  # a second start finds what is its own
            up = run("up")
            assert up.returncode == 0, up.stderr
            assert "as user games" in up.stderr
            (record,) = read(settings.state_dir)
            pids = {record.pid} | {
                state.pid for state in Control(settings.state_dir / "supervisor" / "control.sock").programs().values()
            }
            assert len(pids) == 5
            assert {Path(f"/proc/{pid}").stat().st_uid for pid in pids} == {games.uid}
            assert (settings.state_dir / "ledger.sqlite").stat().st_uid == games.uid
            assert run("status").returncode == 0
            assert run("down").returncode == 0
    finally:
        run("down")


def checkout_in(folder: Path) -> Path:
    """Return a copy of the code that `make up` runs."""
    for name in ("appliance", "deploy", "orthanc_plugin", "simulator"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def environment(folder: Path, like: Path) -> Path:
    """Return an environment on the system's Python that has the packages of another one."""
    subprocess.run([SYSTEM_PYTHON, "-m", "venv", "--without-pip", folder], check=True)
    packages, original = (path / "lib" / "python3.11" / "site-packages" for path in (folder, like))
    shutil.rmtree(packages)
    user = nobody()
    if user is not None and not user.explain_refusal(["ls", str(original.resolve())], Path("/")):
        packages.symlink_to(original.resolve())
    else:
        shutil.copytree(original, packages, copy_function=link_or_copy, ignore=shutil.ignore_patterns(*UNUSED))
    return folder


def link_or_copy(source: str, target: str) -> str:
    """Give a file a second name, or a copy where that would lie on another disk."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target
