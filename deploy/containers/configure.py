# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m deploy.containers.configure FILE`: Orthanc's configuration for its container, made from the settings.

A container of the service's image does this, and Orthanc's waits for the file, so that Orthanc's own image has no
Python package and sees no secret besides those in its configuration. Options of Orthanc that a site adds are in
`orthanc.json` beside the settings file. Where Orthanc and the service do not share a network (Kubernetes), the plugin
needs an account of the service: its secret is in the file `doorbell.token` among the secrets.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any, Final

from appliance.errors import ApplianceError, SettingsError
from appliance.settings_sources import load_settings, settings_file
from deploy.install.answers import merge
from deploy.local.orthanc import configuration

TOKEN: Final = "doorbell.token"
_ARCHIVE: Final = Path("/var/lib/hemorrhage-appliance/orthanc")


def container_configuration(settings: Path, secrets: Path | None) -> dict[str, Any]:
    """Return Orthanc's whole configuration.

    Raises `SettingsError` when the settings, the site's own options or the token cannot be read or are wrong.
    """
    loaded = load_settings(settings)
    storage = str(loaded.orthanc.storage or _ARCHIVE)
    # The plugin that the viewer needs is in Orthanc's image, and so cannot be seen from this one.
    written = configuration(loaded, _ARCHIVE, dicomweb=True) | {"StorageDirectory": storage, "IndexDirectory": storage}
    return merge(merge(written, _read_site_options(settings.with_name("orthanc.json"))), _read_token(secrets))


def _read_site_options(file: Path) -> dict[str, Any]:
    try:
        own = json.loads(file.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SettingsError(f"{file}: {error}; JSON without comments is allowed") from error
    if not isinstance(own, dict):
        raise SettingsError(f"{file}: a JSON object with settings of Orthanc is allowed")
    return own


def _read_token(secrets: Path | None) -> dict[str, Any]:
    if secrets is None or not (secrets / TOKEN).is_file():
        return {}
    try:
        token = (secrets / TOKEN).read_text().strip()
    except OSError as error:
        raise SettingsError(f"{secrets / TOKEN}: cannot be read ({error.strerror}); check its rights") from error
    return {"Hemorrhage": {"Token": token}}


def main(file: Path, *, stay: bool = False) -> int:
    """Write the configuration for its owner and group alone; return the exit status.

    To `stay` is to wait for SIGTERM and then remove it, so that Orthanc waits for the next one, of changed settings.
    (podman restarts no container while one that it depends on has ended.)
    """
    stopping = threading.Event()
    if stay:
        signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    secrets = os.environ.get("APPLIANCE_SECRETS")
    try:
        settings = settings_file()
        if settings is None:
            raise SettingsError("there is no settings file; mount one on /etc/hemorrhage-appliance/appliance.toml")
        text = json.dumps(container_configuration(settings, Path(secrets) if secrets else None), indent=2) + "\n"
        aside = file.with_suffix(".new")
        aside.unlink(missing_ok=True)
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640), "w") as written:
            written.write(text)
            os.fchmod(written.fileno(), 0o640)  # whatever the umask
        aside.replace(file)
    except (ApplianceError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    if stay:
        stopping.wait()
        file.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), stay="--stay" in sys.argv[2:]))
