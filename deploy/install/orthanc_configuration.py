# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m deploy.install.orthanc_configuration FILE`: Orthanc's configuration, made from the appliance's settings.

Root runs this before each start of Orthanc's unit, so that a changed setting only needs a restart. Options of Orthanc
that a site adds (DICOM TLS, for example) are in `orthanc.json` beside the settings, and win.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from appliance.errors import ApplianceError, SettingsError
from appliance.settings_sources import load_settings
from deploy.install.layout import ORTHANC_USER, Layout
from deploy.local.orthanc import PROGRAM, PYTHON_PLUGIN, configuration


def site_configuration(layout: Layout) -> dict[str, Any]:
    """Return Orthanc's whole configuration. Raises `SettingsError` when the settings or the site's own are wrong."""
    for program in (PROGRAM, PYTHON_PLUGIN):
        if not program.exists():
            raise SettingsError(f"{program} is not there; install Debian's orthanc and orthanc-python")
    settings = load_settings(layout.settings)
    storage = settings.orthanc.storage or layout.archive
    written = configuration(settings, layout.data)
    return written | {"StorageDirectory": str(storage), "IndexDirectory": str(storage)} | _read_site_settings(layout)


def _read_site_settings(layout: Layout) -> dict[str, Any]:
    try:
        own = json.loads(layout.orthanc_extra.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SettingsError(f"{layout.orthanc_extra}: {error}; JSON without comments is allowed") from error
    if not isinstance(own, dict):
        raise SettingsError(f"{layout.orthanc_extra}: a JSON object with settings of Orthanc is allowed")
    return own


def main(file: Path) -> int:
    """Write the configuration so that Orthanc's user can read it, and nobody else; return the exit status."""
    try:
        text = json.dumps(site_configuration(Layout()), indent=2) + "\n"
    except ApplianceError as error:
        print(error, file=sys.stderr)
        return 1
    aside = file.with_suffix(".new")
    aside.unlink(missing_ok=True)
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640), "w") as written:
        written.write(text)
        os.fchmod(written.fileno(), 0o640)  # whatever the unit's umask
    shutil.chown(aside, 0, ORTHANC_USER)
    aside.replace(file)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
