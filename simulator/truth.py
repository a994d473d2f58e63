# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What is true of a simulated study: `truth.json` and `truth.npy` beside its DICOM files.

`truth.npy` is uint8 [Z, Y, X] of the axial soft-tissue series: Z by rising position along the slice normal that points
to the head, foot first; Y and X as stored in the files of that series; 0 none, 1 iph, 2 edh_sdh, 3 sah.
`truth.json` says the same in figures. A volume is the sum over slices of labelled pixels x pixel area x the distance
that the slice stands for (half way to each neighbouring position along the normal), in mL.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from appliance.reading.contract import TYPES
from simulator.series import Planes

TRUTH_JSON: Final = "truth.json"
TRUTH_NPY: Final = "truth.npy"


@dataclass(frozen=True)
class TrueSlice:
    """One slice that holds blood: its Z index in `truth.npy`, its UID, and the labelled mL of each type."""

    index: int
    sop_instance_uid: str
    volumes_ml: dict[str, float]


@dataclass(frozen=True)
class SeriesRecord:
    """One series of the study: what it is, and its instances with their files by rising position."""

    kind: str
    series_uid: str
    number: int
    description: str | None
    instance_uids: tuple[str, ...]
    files: tuple[str, ...]


@dataclass(frozen=True)
class Truth:
    """The content of `truth.json`.

    Attributes
    ----------
    seed: of the study.
    type: `iph`, `edh_sdh`, `sah` or `none`.
    volume_ml: labelled blood of all types, mL.
    volumes_ml: the same by type.
    wanted_ml: of the type in `type`, how much was asked for or drawn from the seed, mL; None where there is to be none.
        A site may hold less.
    slices: those that hold blood, foot to head.
    study_uid, series_uid: of the study and of its axial soft-tissue series.
    pixel_spacing_mm: distance between rows and between columns as stored, mm.
    positions_mm: of every slice along the normal that points to the head, foot first, mm.
    spans_mm: how much of the normal each slice stands for, mm.
    tilt_deg: gantry tilt, degrees.
    series: every series of the study.
    request: the options the study was written with.
    """

    seed: int
    type: str
    volume_ml: float
    volumes_ml: dict[str, float]
    wanted_ml: float | None
    slices: tuple[TrueSlice, ...]
    study_uid: str
    series_uid: str
    pixel_spacing_mm: tuple[float, float]
    positions_mm: tuple[float, ...]
    spans_mm: tuple[float, ...]
    tilt_deg: float
    series: tuple[SeriesRecord, ...]
    request: dict[str, Any]


def slice_volumes_ml(stack: Planes) -> dict[str, NDArray[np.float64]]:
    """Return for each type the labelled volume of every slice of `stack`, float64 [Z], mL."""
    if stack.labels is None:
        raise ValueError("the stack keeps no labels")
    area_mm2 = stack.pixel_spacing_mm[0] * stack.pixel_spacing_mm[1]
    return {
        str(kind): (stack.labels == kind.label).sum(axis=(1, 2)) * area_mm2 * stack.spans_mm / 1000 for kind in TYPES
    }


def true_slices(stack: Planes, instance_uids: Sequence[str]) -> tuple[TrueSlice, ...]:
    """Return the slices of `stack` that hold blood."""
    volumes = slice_volumes_ml(stack)
    return tuple(
        TrueSlice(z, uid, {kind: float(v[z]) for kind, v in volumes.items() if v[z] > 0})
        for z, uid in enumerate(instance_uids)
        if any(v[z] > 0 for v in volumes.values())
    )


def write_truth(truth: Truth, labels: NDArray[np.uint8], folder: Path) -> None:
    """Write `truth.json` and `truth.npy` (labels uint8 [Z, Y, X]) into `folder`."""
    text = json.dumps(asdict(truth), indent=2, ensure_ascii=False)
    (folder / TRUTH_JSON).write_text(text + "\n", encoding="utf-8")
    np.save(folder / TRUTH_NPY, np.ascontiguousarray(labels))
