# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A simulated patient, scanned once and written as often as a test wants: each time a new study of the same head."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import pydicom
from pydicom import Dataset

from simulator.scan import SimulatedScan
from simulator.series import Planes, SeriesKind
from simulator.study import StudySpec, WrittenStudy, simulate, stacks_of, write_stacks

FULL = (SeriesKind.AXIAL, SeriesKind.BONE, SeriesKind.CORONAL, SeriesKind.SCOUT, SeriesKind.DOSE)


class Patient:
    """One head on one scanner; reconstructions are made when they are first asked for."""

    def __init__(self, spec: StudySpec) -> None:
        self._spec = dataclasses.replace(spec, new_uids=True)

    @cached_property
    def _scan(self) -> SimulatedScan:
        return simulate(self._spec)

    @cached_property
    def _axial(self) -> dict[SeriesKind, Planes]:
        return stacks_of(self._scan, (SeriesKind.AXIAL,))

    @cached_property
    def _full(self) -> dict[SeriesKind, Planes]:
        return stacks_of(self._scan, FULL)

    def with_volume(self, volume_ml: float) -> Patient:
        """Return the same head with so much blood, as it may be at another time."""
        return Patient(dataclasses.replace(self._spec, volume_ml=volume_ml))

    def study(self, folder: Path, **changes: Any) -> WrittenStudy:
        """Write a study that nobody has seen before: the axial soft-tissue series alone, unless `changes` say more."""
        spec = dataclasses.replace(self._spec, **{"series": (SeriesKind.AXIAL,), **changes})
        return write_stacks(self._axial if spec.kinds == (SeriesKind.AXIAL,) else self._full, spec, folder)

    def full_study(self, folder: Path) -> WrittenStudy:
        """Write a study with scout, bone kernel, coronal reformats and dose page beside the axial series."""
        return self.study(folder, series=FULL)


def edit(file: Path, change: Callable[[Dataset], None]) -> Path:
    """Change the dataset in a DICOM file, and return the file."""
    dataset = pydicom.dcmread(file)
    change(dataset)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.save_as(file)
    return file
