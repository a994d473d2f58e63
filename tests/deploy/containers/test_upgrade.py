# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The way back of `upgrade.sh`, run as it is; what stands for podman writes down how it is called.

The real images are upgraded by `python -m tests.containers`; here are the ends that are hard to bring about there.
"""

from __future__ import annotations

import os
import pty
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "deploy" / "containers" / "upgrade.sh"
PODMAN = """#!/bin/sh
echo "podman $*" >>"$CALLS"
[ "$1" != run ] || [ -d backups ] || exit 125
case "$*" in
image*) ! grep -qx "$5" "$SITE/missing" 2>/dev/null && echo "id-of-$5" ;;
tag*) ! grep -qx "$3" "$SITE/missing" 2>/dev/null ;;
ps*) [ ! -e "$SITE/silent" ] && cat "$SITE/running" ;;
*take-back*) echo taken ;;
*kind) cat "$SITE/ledger" ;;
*copy*) echo "ledger-before-now.sqlite 0007" ;;
esac
"""
COMPOSE = """#!/bin/sh
echo "podman-compose $*" >>"$CALLS"
case "$*" in
stop*) sleep 1 ;;
*ready*) grep -q 'service:1' compose.yaml || { [ ! -e "$SITE/hangs" ] || sleep 600; exit 1; } ;;
esac
exit 0
"""


class Site:
    """A folder of Compose files at version 1, images of version 2, and programs that stand for podman's."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.images = folder / "site", folder / "images"
        self.calls = folder / "calls"
        self.calls.touch()
        programs = folder / "bin"
        for one in (self.folder, self.images, programs):
            one.mkdir()
        for name, text in {"podman": PODMAN, "podman-compose": COMPOSE}.items():
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        (self.folder / "appliance.toml").touch()
        (self.folder / "running").touch()
        (self.folder / "ledger").write_text("file\n")
        self._write_compose(self.folder, 1)
        self._write_compose(self.images, 2)
        subprocess.run(["tar", "-czf", "compose.tar.gz", "compose.yaml"], cwd=self.images, check=True)
        (self.images / "hemorrhage-images-2.tar").touch()
        self.sum()
        self.environment = os.environ | {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "CALLS": str(self.calls),
            "SITE": str(self.folder),
        }

    def sum(self) -> None:
        """Write the sums of the files that an upgrade takes."""
        subprocess.run("sha256sum compose.tar.gz *.tar >SHA256SUMS", shell=True, cwd=self.images, check=True)

    @staticmethod
    def _write_compose(folder: Path, version: int) -> None:
        (folder / "compose.yaml").write_text(f"    image: localhost/hemorrhage-service:{version}\n")

    def begin(self, *arguments: str, terminal: int | None = None) -> subprocess.Popen[str]:
        """Start the script on a terminal, or with its output kept."""
        out = subprocess.PIPE if terminal is None else terminal
        return subprocess.Popen(
            ["sh", str(SCRIPT), *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=out,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def upgrade(self, *arguments: str) -> tuple[int, str]:
        """Run the script to its end; return its exit status and what it said."""
        with self.begin(*arguments) as running:
            said, _ = running.communicate(timeout=600)
        return running.returncode, said

    def version(self) -> str:
        """Return the version that the Compose file names."""
        return (self.folder / "compose.yaml").read_text().strip()[-1]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    if os.geteuid() != 0:
        pytest.skip("upgrade.sh is for root: it makes a folder for another user")
    return Site(tmp_path)


def test_a_version_that_is_not_well_is_taken_back_with_its_ledger(site: Site) -> None:
    status, said = site.upgrade("--patience-s", "1", str(site.images))
    assert status == 1
    assert "the new version was taken back" in said
    assert site.version() == "1"
    assert "take-back /backups/ledger-before-now.sqlite 0007" in site.calls.read_text()


def test_a_terminal_that_goes_away_keeps_nobody_from_going_back(site: Site) -> None:
    ours, theirs = pty.openpty()
    with site.begin("--patience-s", "1", str(site.images), terminal=theirs) as running:
        os.close(theirs)
        while "podman-compose stop" not in site.calls.read_text():
            assert running.poll() is None
            time.sleep(0.05)
        os.close(ours)
        assert running.wait(timeout=600) == 1
    assert site.version() == "1"
    assert "podman-compose up -d\n" in site.calls.read_text()
    assert "the new version was taken back" in (site.folder / "upgrade.log").read_text()


def test_a_probe_that_hangs_is_a_fault(site: Site) -> None:
    (site.folder / "hangs").touch()
    status, said = site.upgrade("--patience-s", "1", str(site.images))
    assert status == 1
    assert "the new version is not well" in said
    assert site.version() == "1"


def test_a_ledger_that_a_container_still_has_open_is_not_replaced(site: Site) -> None:
    (site.folder / "running").write_text("0123abcd\n")
    status, said = site.upgrade("--patience-s", "1", str(site.images))
    assert status == 1
    assert "not all containers are gone: 0123abcd" in said
    assert "the ledger could not be put back" in said
    assert "take-back" not in site.calls.read_text()


def test_a_ledger_is_not_replaced_where_nobody_says_which_containers_run(site: Site) -> None:
    (site.folder / "silent").touch()
    status, said = site.upgrade("--patience-s", "1", str(site.images))
    assert status == 1
    assert "podman does not say which run" in said
    assert "take-back" not in site.calls.read_text()


@pytest.mark.parametrize("kind", ["server", "none"])
def test_a_ledger_that_is_not_copied_is_asked_for_before_anything_stops(site: Site, kind: str) -> None:
    (site.folder / "ledger").write_text(f"{kind}\n")
    status, said = site.upgrade("--patience-s", "1", str(site.images))
    assert status == 1
    assert "--ledger-has-backup" in said
    assert "nothing has been changed" in said
    assert "stop" not in site.calls.read_text()
    assert not (site.folder / "previous" / "upgrading").exists()


def test_an_image_that_is_missing_is_named_before_anything_stops(site: Site) -> None:
    with tarfile.open(site.images / "compose.tar.gz", "w:gz") as archive:
        (site.images / "compose.yaml").write_text(
            "    image: localhost/hemorrhage-service:2\n    image: localhost/built-at-the-site:2\n"
        )
        archive.add(site.images / "compose.yaml", "compose.yaml")
    site.sum()
    (site.folder / "missing").write_text("localhost/built-at-the-site:2\n")
    status, said = site.upgrade("--patience-s", "1", str(site.images))
    assert status == 1
    assert "the image localhost/built-at-the-site:2 is not there" in said
    assert "stop" not in site.calls.read_text()


def test_nobody_goes_back_to_a_version_whose_image_is_gone(site: Site) -> None:
    site.upgrade("--patience-s", "1", str(site.images))
    site.calls.write_text("")
    (site.folder / "missing").write_text("localhost/hemorrhage-service:1\n")
    status, said = site.upgrade("--back")
    assert status == 1
    assert "is gone" in said
    assert "podman-compose" not in site.calls.read_text()


def test_nobody_goes_back_beside_an_upgrade_that_runs(site: Site) -> None:
    with site.begin("--patience-s", "60", str(site.images)) as running:
        while site.version() != "2":
            assert running.poll() is None
            time.sleep(0.05)
        status, said = site.upgrade("--back")
        assert status == 1
        assert f"an upgrade runs as process {running.pid}" in said
        running.terminate()
        assert running.wait(timeout=600) == 1
    assert site.version() == "1"


def test_an_upgrade_that_was_cut_off_keeps_the_version_before_until_it_is_back(site: Site) -> None:
    with site.begin("--patience-s", "60", str(site.images)) as running:
        while site.version() != "2":
            assert running.poll() is None
            time.sleep(0.05)
        running.kill()
    status, said = site.upgrade(str(site.images))
    assert status == 1
    assert "sh upgrade.sh --back" in said
    status, said = site.upgrade("--back")
    assert status == 0, said
    assert site.version() == "1"
    assert not (site.folder / "previous" / "upgrading").exists()
