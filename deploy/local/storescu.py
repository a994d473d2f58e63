# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Sends DICOM files by C-STORE with DCMTK's storescu, as a scanner would."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from appliance.errors import UnavailableError
from appliance.settings import OrthancSettings

_FILES_A_CALL = 1000


def send(files: Iterable[Path], orthanc: OrthancSettings, *, tcp_nodelay: bool = True, timeout_s: float = 600) -> int:
    """Send `files`, in their order, over one association a thousand; return how many.

    Raises `UnavailableError` with storescu's own words when Orthanc did not take every one.
    """
    paths = [str(file) for file in files]
    environment = {**os.environ, "TCP_NODELAY": "1" if tcp_nodelay else "0"}
    # --required proposes each file's own transfer syntax, so that compressed images go as they are.
    command = ["storescu", "--required", "-aet", "SCANNER", "-aec", orthanc.aet]
    for start in range(0, len(paths), _FILES_A_CALL):
        done = subprocess.run(
            [*command, orthanc.dicom_host, str(orthanc.dicom_port), *paths[start : start + _FILES_A_CALL]],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
        if done.returncode != 0 or done.stdout.strip():
            raise UnavailableError(
                f"storescu to {orthanc.aet} at {orthanc.dicom_host}:{orthanc.dicom_port} failed "
                f"(status {done.returncode}): {done.stdout.strip() or 'no word'}"
            )
    return len(paths)
