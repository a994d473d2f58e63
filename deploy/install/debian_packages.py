# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Orthanc, its Python plugin and Python with everything that they need, as packages of Debian 12, on any machine.

apt works in a separate folder, with Debian 12 as its only source and no package installed, so that it fetches every
package that the smallest Debian 12 may lack. It checks Debian's signatures.
"""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import Final

from appliance.errors import UnavailableError

WANTED: Final = ("orthanc", "orthanc-python", "orthanc-dicomweb", "python3", "util-linux", "hostname")
"""As in `deploy/install.sh`."""
MIRROR: Final = "http://deb.debian.org"
_KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_SOURCES: Final = (
    ("debian", "bookworm"),
    ("debian", "bookworm-updates"),
    ("debian-security", "bookworm-security"),
)
_FIELDS: Final = ("Package", "Version", "Architecture", "Multi-Arch", "Essential", "Provides", "Pre-Depends", "Depends")
_MORE_FIELDS: Final = ("Conflicts", "Breaks", "Replaces", "Recommends", "Suggests", "Section", "Priority")
_SHOWN: Final = (*_FIELDS, *_MORE_FIELDS, "Maintainer", "Description")


def fetch_packages(root: Path, mirror: str = MIRROR) -> None:
    """Fetch the packages into `root`, apt's own folder, unless they are there already.

    Raises `UnavailableError` with apt's message when they are not available.
    """
    if not _KEYRING.exists():
        raise UnavailableError(f"{_KEYRING} is not there; install debian-archive-keyring")
    for folder in ("etc/apt", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "var/lib/dpkg"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "var/lib/dpkg/status").write_text("")
    sources = [f"deb [signed-by={_KEYRING}] {mirror}/{archive} {suite} main" for archive, suite in _SOURCES]
    (root / "etc/apt/sources.list").write_text("\n".join(sources) + "\n")
    (root / "apt.conf").write_text(
        f'Dir "{root}"; Dir::State::status "{root}/var/lib/dpkg/status"; APT::Architecture "amd64";\n'
        'APT::Architectures {"amd64";}; APT::Sandbox::User "root"; Acquire::Languages "none"; Acquire::Retries "3";\n'
        "#clear Apt::Update::Post-Invoke; #clear DPkg::Post-Invoke;\n"
    )
    _apt(root, "update")
    _apt(root, "install", "--download-only", "--yes", "--no-install-recommends", *WANTED)
    _apt(root, "autoclean")  # packages that a newer version has replaced


def _apt(root: Path, *arguments: str) -> None:
    done = subprocess.run(
        ["apt-get", "--quiet=2", *arguments],
        env={"APT_CONFIG": str(root / "apt.conf"), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise UnavailableError(f"apt-get {arguments[0]} failed:\n{done.stderr[-2000:]}")


def write_index(folder: Path) -> None:
    """Write the index that lets apt install from a folder of packages."""
    stanzas = []
    for package in sorted(folder.glob("*.deb")):
        control = subprocess.run(
            ["dpkg-deb", "--field", str(package), *_SHOWN], capture_output=True, text=True, check=True
        )
        with package.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        stanzas.append(
            f"{control.stdout.rstrip()}\nFilename: ./{package.name}\nSize: {package.stat().st_size}\nSHA256: {digest}\n"
        )
    (folder / "Packages").write_text("\n".join(stanzas))
