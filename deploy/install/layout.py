# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Where everything of an installed appliance lies on the machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

READER_USER: Final = "hemorrhage"
"""Runs Triton and the service, which share memory."""
ORTHANC_USER: Final = "hemorrhage-orthanc"
"""Runs Orthanc, and alone may read what Orthanc stores."""
UNITS: Final = ("hemorrhage-orthanc.service", "hemorrhage-triton.service", "hemorrhage-service.service")
"""In the order of their start."""
TARGET: Final = "hemorrhage-appliance.target"


@dataclass(frozen=True)
class Layout:
    """The places on one machine, below `root` (which is / but in tests)."""

    root: Path = Path("/")

    @property
    def home(self) -> Path:
        """Holds a folder a version, and the link `current` to the one that runs."""
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
        """What a site adds to Orthanc's own configuration, as JSON; not there unless the site makes it."""
        return self.etc / "orthanc.json"

    @property
    def secrets(self) -> Path:
        """One file a secret, named after its setting."""
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
        """Return where a version lies."""
        return self.home / version

    def current_version(self) -> str:
        """Return the version that runs, empty when none is installed."""
        return self.current.readlink().name if self.current.is_symlink() else ""

    def versions(self) -> list[str]:
        """Return the versions that lie on this machine, the one that was laid out last at the end."""
        folders = [path for path in self.home.glob("*") if path.is_dir() and not path.is_symlink()]
        known = [path for path in folders if not path.name.startswith(".")]
        return [path.name for path in sorted(known, key=lambda path: path.stat().st_mtime)]

    def switch(self, version: str) -> None:
        """Make `current` lead to a version, in one step: there is no moment without it."""
        aside = self.home / ".current.new"
        aside.unlink(missing_ok=True)
        aside.symlink_to(version)
        aside.replace(self.current)

    def environment(self) -> dict[str, str]:
        """Return what tells the command `appliance` where settings and secrets are."""
        return {"APPLIANCE_SETTINGS": str(self.settings), "APPLIANCE_SECRETS": str(self.secrets)}
