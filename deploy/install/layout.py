# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Where the parts of an installed appliance are on the machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

READER_USER: Final = "hemorrhage"
"""Runs Triton and the service, which share memory."""
ORTHANC_USER: Final = "hemorrhage-orthanc"
"""Runs Orthanc, and is the only user who may read what Orthanc stores."""
UNITS: Final = ("hemorrhage-orthanc.service", "hemorrhage-triton.service", "hemorrhage-service.service")
"""The units, in the order of their start."""
TARGET: Final = "hemorrhage-appliance.target"


@dataclass(frozen=True)
class Layout:
    """The places on one machine, below `root` (/ except in tests)."""

    root: Path = Path("/")

    @property
    def home(self) -> Path:
        """Holds a folder for each version, and the link `current` to the running one."""
        return self.root / "opt/hemorrhage-appliance"

    @property
    def current(self) -> Path:
        """The link to the version that runs."""
        return self.home / "current"

    @property
    def etc(self) -> Path:
        """What a site sets."""
        return self.root / "etc/hemorrhage-appliance"

    @property
    def settings(self) -> Path:
        """The settings file."""
        return self.etc / "appliance.toml"

    @property
    def orthanc_extra(self) -> Path:
        """What a site adds to Orthanc's own configuration, as JSON; it exists only if the site makes it."""
        return self.etc / "orthanc.json"

    @property
    def secrets(self) -> Path:
        """Holds one file for each secret, named after its setting."""
        return self.etc / "secrets"

    @property
    def data(self) -> Path:
        """What the appliance keeps."""
        return self.root / "var/lib/hemorrhage-appliance"

    @property
    def state(self) -> Path:
        """The state folder of the service: the ledger, its identity, the models that the site brought."""
        return self.data / "service"

    @property
    def archive(self) -> Path:
        """Orthanc's storage and index."""
        return self.data / "orthanc"

    @property
    def backups(self) -> Path:
        """Copies of the ledger from before each upgrade."""
        return self.data / "backups"

    @property
    def units(self) -> Path:
        """systemd's units of this machine."""
        return self.root / "etc/systemd/system"

    @property
    def command(self) -> Path:
        """The command `appliance` on everybody's PATH."""
        return self.root / "usr/local/bin/appliance"

    def version_folder(self, version: str) -> Path:
        """Return the folder of a version."""
        return self.home / version

    def current_version(self) -> str:
        """Return the running version, empty when none is installed."""
        return self.current.readlink().name if self.current.is_symlink() else ""

    def versions(self) -> list[str]:
        """Return the versions on this machine, in the order in which they were laid out."""
        folders = [path for path in self.home.glob("*") if path.is_dir() and not path.is_symlink()]
        known = [path for path in folders if not path.name.startswith(".")]
        return [path.name for path in sorted(known, key=lambda path: path.stat().st_mtime)]

    def switch(self, version: str) -> None:
        """Make `current` point to a version, in one step, so that there is no moment without it."""
        aside = self.home / ".current.new"
        aside.unlink(missing_ok=True)
        aside.symlink_to(version)
        aside.replace(self.current)

    def environment(self) -> dict[str, str]:
        """Return the environment that tells the command `appliance` where settings and secrets are."""
        return {"APPLIANCE_SETTINGS": str(self.settings), "APPLIANCE_SECRETS": str(self.secrets)}
