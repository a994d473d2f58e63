# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A made head CT with blood in it, small, and the reading a detector would give of it: what the tests of findings and
results work on. Headers are complete enough for result objects that validators pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import CTImageStorage

from appliance.findings.finding import LesionMap
from appliance.imaging.volume import Turn, Volume
from appliance.inference.detections import ModelIdentity, Reading
from appliance.reading.contract import MASK_SIZE, MATRIX, TYPES, HemorrhageType
from appliance.reading.detections import Box, Detection, DismissedProposal

MODEL = ModelIdentity("hemorrhage_detector", "1", "ab" * 32)
ROOT = "1.2.826.0.1.3680043.10.1500"


def even_positions(slices: int, spacing_mm: float = 5.0) -> NDArray[np.float64]:
    """Positions of an even stack, mm."""
    return np.arange(slices, dtype=np.float64) * spacing_mm


def made_volume(
    slices: int = 12,
    matrix: tuple[int, int] = (96, 96),
    spacing_mm: tuple[float, float] = (2.4, 2.4),
    positions_mm: NDArray[np.float64] | None = None,
    tilt_degrees: float = 0.0,
    turn: Turn | None = None,
    series: int = 1,
) -> Volume:
    """Return a made head: skull, brain, ventricles; `matrix` and `spacing_mm` are the contract plane's (Y, X).

    `turn` says how the stored planes differ from it; a tilted stack's slices follow the table, so that they shift in
    their plane.
    """
    turn = turn or Turn()
    positions = even_positions(slices) if positions_mm is None else positions_mm
    slices = len(positions)
    height, width = matrix
    y = (np.arange(height) + 0.5) / height * 2 - 1
    x = (np.arange(width) + 0.5) / width * 2 - 1
    noise = np.random.default_rng(series)
    hu = np.empty((slices, height, width), np.int16)
    for z in range(slices):
        size = 0.55 + 0.35 * np.sqrt(max(0.0, 1 - ((z - slices * 0.35) / (slices * 0.75)) ** 2))
        radius = np.hypot(y[:, None] / (size * 1.02), x[None] / (size * 0.82))
        plane = np.full(matrix, -1000.0)
        plane[radius < 1.0] = 20
        plane[radius < 0.93] = 1100
        plane[radius < 0.85] = 34
        ventricle = np.hypot((y[:, None] + 0.02) / 0.16, (np.abs(x[None]) - 0.1) / 0.05) < 1
        plane[ventricle] = 8
        hu[z] = np.where(plane > -900, plane + noise.normal(0, 4, matrix), plane)
    return Volume(hu, spacing_mm, positions, turn, _headers(matrix, spacing_mm, positions, tilt_degrees, turn, series))


def boneless(volume: Volume) -> Volume:
    """Return the volume with brain (34 HU) everywhere: for masks that lie where a skull would cut them."""
    return replace(volume, hu=np.full_like(volume.hu, 34))


def bleeding(volume: Volume, lesion_map: LesionMap) -> Volume:
    """Return the volume with acute blood (about 65 HU) where the map has a lesion."""
    return replace(volume, hu=np.where(lesion_map > 0, volume.hu // 4 + 58, volume.hu).astype(np.int16))


def _headers(
    matrix: tuple[int, int],
    spacing_mm: tuple[float, float],
    positions_mm: NDArray[np.float64],
    tilt_degrees: float,
    turn: Turn,
    series: int,
) -> tuple[Dataset, ...]:
    tilt = np.deg2rad(tilt_degrees)
    to_left = np.array([1.0, 0, 0])
    to_back = np.array([0, np.cos(tilt), -np.sin(tilt)])
    normal = np.cross(to_left, to_back)
    table = np.array([0, 0, 1.0])
    # The contract plane's corner voxel, and where the stored plane begins and runs.
    corner = np.array([-spacing_mm[1] * matrix[1] / 2, -spacing_mm[0] * matrix[0] / 2, 40.0])
    down, right = to_back * spacing_mm[0], to_left * spacing_mm[1]
    if turn.flip_y:
        corner, down = corner + down * (matrix[0] - 1), -down
    if turn.flip_x:
        corner, right = corner + right * (matrix[1] - 1), -right
    rows, columns, spacing = matrix[0], matrix[1], spacing_mm
    if turn.transpose:
        down, right, rows, columns, spacing = right, down, columns, rows, (spacing_mm[1], spacing_mm[0])

    headers = []
    for z, position in enumerate(positions_mm):
        header = Dataset()
        header.SpecificCharacterSet = "ISO_IR 192"
        header.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        header.SOPClassUID = CTImageStorage
        header.SOPInstanceUID = f"{ROOT}.{series}.2.{z + 1}"
        header.StudyDate = header.SeriesDate = header.AcquisitionDate = header.ContentDate = "20260301"
        header.StudyTime = header.SeriesTime = header.AcquisitionTime = header.ContentTime = "083000"
        header.AccessionNumber = "ACC1"
        header.Modality = "CT"
        header.Manufacturer = "Made by code"
        header.ReferringPhysicianName = "Доктор^Тест"
        header.StudyDescription = "CT Schädel nativ"
        header.PatientName = "Phantom^Ünïcode"
        header.PatientID = "PHANTOM-1"
        header.IssuerOfPatientID = "SIMULATED"
        header.PatientBirthDate = ""
        header.PatientSex = "O"
        header.PatientAge = "070Y"
        header.KVP = "120"
        header.SliceThickness = "5"
        header.ConvolutionKernel = "H30"
        header.PatientPosition = "HFS"
        header.StudyInstanceUID = f"{ROOT}.{series}.0"
        header.SeriesInstanceUID = f"{ROOT}.{series}.1"
        header.StudyID = "1"
        header.SeriesNumber = "2"
        header.AcquisitionNumber = "1"
        header.InstanceNumber = str(z + 1)
        origin = corner + table * (position / normal[2])
        header.ImagePositionPatient = [f"{value:.8g}" for value in origin]
        header.ImageOrientationPatient = [
            f"{value:.8g}" for value in (*right / np.linalg.norm(right), *down / np.linalg.norm(down))
        ]
        header.FrameOfReferenceUID = f"{ROOT}.{series}.3"
        header.PositionReferenceIndicator = ""
        header.SamplesPerPixel = 1
        header.PhotometricInterpretation = "MONOCHROME2"
        header.Rows, header.Columns = rows, columns
        header.PixelSpacing = [f"{value:.8g}" for value in spacing]
        header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 16, 15, 1
        header.RescaleIntercept, header.RescaleSlope, header.RescaleType = "0", "1", "HU"
        headers.append(header)
    return tuple(headers)


def scores_of(type_: HemorrhageType, score: float) -> tuple[float, float, float]:
    """Return class scores with `score` at `type_` and a little elsewhere."""
    first, second, third = (score if one is type_ else 0.01 for one in TYPES)
    return first, second, third


def detection(
    slice_index: int,
    box: tuple[float, float, float, float],
    type_: HemorrhageType = HemorrhageType.IPH,
    score: float = 0.9,
    mask: NDArray[np.float32] | None = None,
) -> Detection:
    """Return a detection; its mask is an ellipse that fills the box unless given. `box` on the 512 x 512 grid."""
    return Detection(slice_index, Box(*box), scores_of(type_, score), ellipse() if mask is None else mask)


def full() -> NDArray[np.float32]:
    """A mask that fills its box."""
    return np.ones((MASK_SIZE, MASK_SIZE), np.float32)


def ellipse() -> NDArray[np.float32]:
    """A mask that is sure inside the ellipse that fills the box, and falls off smoothly at its edge."""
    at = (np.arange(MASK_SIZE) + 0.5) / MASK_SIZE * 2 - 1
    return (1 / (1 + np.exp((np.hypot(at[:, None], at[None]) - 0.95) * 40))).astype(np.float32)


def reading_of(*detections: Detection, dismissed: tuple[DismissedProposal, ...] = ()) -> Reading:
    """Return a reading of the made model."""
    return Reading(detections, dismissed, MODEL, 0.5)


def stroke_reading(slices: int = 12) -> Reading:
    """A large IPH, a subdural and some SAH, with two dismissed proposals: lesions 3 of 3 types."""
    grid = MATRIX / 512
    found: list[Detection] = []
    middle = slices // 2
    for step, radius in ((-2, 22), (-1, 40), (0, 46), (1, 38)):
        found.append(
            detection(middle + step, tuple(v * grid for v in (240 - radius, 170 - radius, 240 + radius, 170 + radius)))
        )
    for step in (-1, 0, 1, 2):
        found.append(
            detection(
                middle + step,
                tuple(v * grid for v in (180, 386, 330, 408)),
                HemorrhageType.EDH_SDH,
                0.81 + 0.02 * step,
            )
        )
    found.append(detection(2, tuple(v * grid for v in (300, 236, 324, 284)), HemorrhageType.SAH, 0.62))
    dismissed = (
        DismissedProposal(middle, Box(120, 240, 150, 262), (0.02, 0.03, 0.01)),
        DismissedProposal(1, Box(330, 150, 372, 190), (0.01, 0.04, 0.02)),
        DismissedProposal(slices - 3, Box(200, 236, 320, 250), (0.01, 0.045, 0.02)),
    )
    return reading_of(*found, dismissed=dismissed)
