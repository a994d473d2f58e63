# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Sends DICOM files by C-STORE with DCMTK's storescu, as a scanner would."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from pydicom import uid
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info

from appliance.errors import SettingsError, UnavailableError
from appliance.sections.orthanc import OrthancSettings

_FILES_A_CALL = 1000
_PROPOSALS = {
    uid.JPEGLosslessSV1: ["--propose-lossless"],
    uid.JPEGBaseline8Bit: ["--propose-jpeg8"],
    uid.JPEGExtended12Bit: ["--propose-jpeg12"],
    uid.JPEGLSLossless: ["--propose-jls-lossless"],
    uid.JPEGLSNearLossless: ["--propose-jls-lossy"],
    uid.JPEG2000Lossless: ["--propose-j2k-lossless"],
    uid.JPEG2000: ["--propose-j2k-lossy"],
    uid.RLELossless: ["--propose-rle"],
    uid.DeflatedExplicitVRLittleEndian: ["--propose-deflated"],
}
"""Options with which storescu sends a compressed file as it is; without them it sends only uncompressed files."""


def send(
    files: Iterable[Path],
    orthanc: OrthancSettings,
    *,
    tcp_nodelay: bool = True,
    timeout_s: float = 600,
    aet: str = "SCANNER",
) -> int:
    """Send `files` in order as the scanner `aet`, each in its own transfer syntax; return how many.

    One association takes a thousand files of one kind of compression, so a series is one association.

    Raises
    ------
    UnavailableError
        with storescu's own message when Orthanc did not accept every file.
    SettingsError
        when storescu is not installed.
    """
    paths = list(files)
    for options, group in itertools.groupby(paths, _proposal):
        alike = list(group)
        for start in range(0, len(alike), _FILES_A_CALL):
            _store(options, alike[start : start + _FILES_A_CALL], orthanc, tcp_nodelay, timeout_s, aet)
    return len(paths)


def _proposal(file: Path) -> list[str]:
    try:
        return _PROPOSALS.get(read_file_meta_info(file).TransferSyntaxUID, [])
    except (InvalidDicomError, AttributeError):  # storescu's message about it is better
        return []


def _store(
    options: list[str], files: Iterable[Path], orthanc: OrthancSettings, tcp_nodelay: bool, timeout_s: float, aet: str
) -> None:
    to = f"{orthanc.aet} at {orthanc.dicom_host}:{orthanc.dicom_port}"
    try:
        done = subprocess.run(
            [
                *("storescu", *options, "--required", "-aet", aet, "-aec", orthanc.aet),
                *(orthanc.dicom_host, str(orthanc.dicom_port), *map(str, files)),
            ],
            env={**os.environ, "TCP_NODELAY": "1" if tcp_nodelay else "0"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except FileNotFoundError as error:
        raise SettingsError("storescu is not there; deploy/install-system-packages.sh installs DCMTK") from error
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"storescu to {to} has not ended after {timeout_s:g} s") from error
    if done.returncode != 0 or done.stdout.strip():
        raise UnavailableError(f"storescu to {to} failed (status {done.returncode}): {done.stdout.strip()}")
