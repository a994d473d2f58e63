# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Other people's programs that read what we write: dicom3tools, DCMTK and dcmqi."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom import Dataset

DCMQI = Path(sys.executable).parent


def write_dicom(dataset: Dataset, folder: Path, name: str = "object") -> Path:
    """Return where the dataset was written as a DICOM file."""
    path = folder / f"{name}.dcm"
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)
    return path


def dciodvfy_errors(path: Path) -> list[str]:
    """Return what dciodvfy calls an error; it must have recognised what it reads."""
    lines = _run("dciodvfy", "-new", str(path)).splitlines()
    assert lines, "dciodvfy said nothing, not even what the file is"
    return [line for line in lines if "Error" in line]


def dsrdump_text(path: Path) -> str:
    """Return DCMTK's print of an SR document with full texts; its errors are on it too."""
    return _run("dsrdump", "+Pl", "+Pc", str(path))


def tid1500(path: Path, folder: Path) -> dict[str, Any]:
    """Return what dcmqi's tid1500reader makes of an SR."""
    out = folder / "tid1500.json"
    _run(str(DCMQI / "tid1500reader"), "--inputDICOM", str(path), "--outputMetadata", str(out))
    parsed: dict[str, Any] = json.loads(out.read_text())
    return parsed


def itk_segments(
    path: Path, folder: Path
) -> dict[int, tuple[NDArray[np.int16], NDArray[np.float64], NDArray[np.float64]]]:
    """Return each segment as segimage2itkimage writes it: voxels [z, row, column], origin, step from slice to slice."""
    out = folder / "itk"
    out.mkdir()
    _run(
        str(DCMQI / "segimage2itkimage"),
        "--inputDICOM",
        str(path),
        "--outputDirectory",
        str(out),
        "--outputType",
        "nrrd",
    )
    return {int(file.stem): _nrrd(file) for file in sorted(out.glob("*.nrrd"))}


def _nrrd(file: Path) -> tuple[NDArray[np.int16], NDArray[np.float64], NDArray[np.float64]]:
    head, _, data = file.read_bytes().partition(b"\n\n")
    fields = dict(line.split(": ", 1) for line in head.decode().splitlines() if ": " in line)
    assert (fields["type"], fields["encoding"], fields["endian"]) == ("short", "gzip", "little")
    columns, rows, slices = (int(size) for size in fields["sizes"].split())
    directions = [_vector(text) for text in fields["space directions"].split(" ")]
    voxels = np.frombuffer(gzip.decompress(data), "<i2").reshape(slices, rows, columns)
    return voxels, _vector(fields["space origin"]), directions[2]


def _vector(text: str) -> NDArray[np.float64]:
    return np.array([float(part) for part in text.strip("()").split(",")])


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    return done.stdout + done.stderr
