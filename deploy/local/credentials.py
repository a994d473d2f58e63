# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A user of Orthanc and a secret of Triton for an appliance that is started here and whose settings name none.

They are made once and kept in the state folder, in a file that only its owner may read; `settings_sources` reads it
there, so that the commands of the same user know them too.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from appliance.settings import Settings
from appliance.settings_sources import CREDENTIALS_FILE
from deploy.local.settings_file import toml

_USER: Final = "appliance"


def with_credentials(settings: Settings) -> Settings:
    """Return `settings` with the user and the secret that they lack, which are made and kept if necessary.

    Raises `OSError` when the state folder cannot be written.
    """
    orthanc, triton = settings.orthanc, settings.triton
    if not orthanc.username:
        orthanc = orthanc.model_copy(update={"username": _USER, "password": secrets.token_urlsafe(24)})
    if not triton.secret:
        triton = triton.model_copy(update={"secret": secrets.token_urlsafe(24)})
    if (orthanc, triton) == (settings.orthanc, settings.triton):
        return settings
    _keep(
        settings.state_dir / CREDENTIALS_FILE,
        {
            "orthanc": {"username": orthanc.username, "password": orthanc.password},
            "triton": {"secret": triton.secret},
        },
    )
    return settings.model_copy(update={"orthanc": orthanc, "triton": triton})


def _keep(file: Path, values: dict[str, dict[str, str]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_suffix(".new")
    aside.unlink(missing_ok=True)
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as written:
        written.write(toml(values))
    aside.replace(file)
