# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How `deploy/install.sh` keeps services from starting while it installs Debian's packages, and lets them start again.

The script's own lines run, with another place for policy-rc.d and with programs that note what they are asked.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "deploy" / "install.sh"
OWN = "#!/bin/sh\n# the site's own\nexit 0\n"
INSTALL = """
bundle="" offline_hint="" unpacked=""
trap clean_up EXIT
trap 'exit 130' INT TERM HUP
let_services_start
install_debian_packages
"""


class Site:
    """A machine's `policy-rc.d`, and an apt-get, dpkg-query and systemctl that install Orthanc in name alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.policy = folder / "sbin/policy-rc.d"
        self.kept = folder / "sbin/policy-rc.d.kept-by-hemorrhage"
        self.policy.parent.mkdir()
        (folder / "bin").mkdir()
        self.tool("dpkg-query", f'test -e "{folder}/installed" && printf "ii "')
        self.tool("systemctl", f'echo "$@" >>"{folder}/systemctl"')
        self.apt_get(f'cp "{self.policy}" "{folder}/during"; touch "{folder}/installed"')

    def tool(self, name: str, body: str) -> None:
        file = self.folder / "bin" / name
        file.write_text(f"#!/bin/sh\n{body}\n")
        file.chmod(0o755)

    def apt_get(self, body: str) -> None:
        self.tool("apt-get", body)

    def start(self) -> subprocess.Popen[str]:
        lines = SCRIPT.read_text().replace("POLICY=/usr/sbin/policy-rc.d\n", f"POLICY={self.policy}\n")
        assert str(self.policy) in lines
        body = lines.removesuffix('main "$@"\n')
        assert body != lines
        return subprocess.Popen(
            ["sh", "-c", body + INSTALL],
            env={"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=_take_signals,
        )

    def install(self) -> tuple[int, str]:
        running = self.start()
        said = running.communicate()[0]
        return running.returncode, said

    def install_and_end_it(self, by: signal.Signals) -> None:
        """Start an installation and end it while apt-get runs, as a terminal does: all of its processes at once."""
        self.apt_get(f'touch "{self.folder}/installed" "{self.folder}/runs"; exec sleep 600')
        running = self.start()
        while not (self.folder / "runs").exists():
            assert running.poll() is None, running.communicate()[0]
            time.sleep(0.02)
        os.killpg(running.pid, by)
        running.communicate()

    def asked_of_systemd(self) -> str:
        file = self.folder / "systemctl"
        return file.read_text() if file.exists() else ""


def _take_signals() -> None:
    """Undo what a runner in the background or under nohup passes on: that it ignores these signals."""
    for one in (signal.SIGINT, signal.SIGHUP):
        signal.signal(one, signal.SIG_DFL)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_packages_start_no_service_and_afterwards_the_sites_own_policy_is_back(site: Site) -> None:
    site.policy.write_text(OWN)
    assert site.install()[0] == 0
    assert "exit 101" in (site.folder / "during").read_text()
    assert site.policy.read_text() == OWN
    assert not site.kept.exists()
    assert "disable orthanc.service" in site.asked_of_systemd()


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_installation_that_is_ended_leaves_the_policy_as_it_was(site: Site, by: signal.Signals) -> None:
    site.install_and_end_it(by)
    assert not site.policy.exists()
    assert "disable orthanc.service" in site.asked_of_systemd()


@pytest.mark.parametrize("own", [OWN, ""])
def test_after_a_power_cut_the_next_run_puts_the_sites_own_policy_back(site: Site, own: str) -> None:
    if own:
        site.policy.write_text(own)
    site.install_and_end_it(signal.SIGKILL)
    assert "exit 101" in site.policy.read_text()
    assert site.install()[0] == 0
    assert (site.policy.read_text() if site.policy.exists() else "") == own
    assert not site.kept.exists()
    assert "disable orthanc.service" in site.asked_of_systemd(), "the cut run brought Orthanc, and nobody disabled it"


def test_a_policy_that_was_kept_is_never_overwritten(site: Site) -> None:
    site.kept.write_text(OWN)
    site.policy.write_text("#!/bin/sh\nexit 101\n")
    status, said = site.install()
    assert status != 0
    assert "are both there" in said
    assert site.kept.read_text() == OWN
    assert site.policy.read_text() == "#!/bin/sh\nexit 101\n"


def test_packages_that_cannot_be_installed_leave_neither_a_policy_nor_an_enabled_orthanc(site: Site) -> None:
    site.apt_get(f'touch "{site.folder}/installed"; exit 100')
    status, said = site.install()
    assert status != 0
    assert "apt-get could not install" in said
    assert not site.policy.exists()
    assert "disable orthanc.service" in site.asked_of_systemd()


def test_an_orthanc_that_was_there_before_stays_enabled(site: Site) -> None:
    site.tool("dpkg-query", 'case "$*" in *python*) exit 1 ;; *) printf "ii " ;; esac')
    assert site.install()[0] == 0
    assert (site.folder / "during").exists()
    assert "disable" not in site.asked_of_systemd()
