# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Small CT series made by code: a lopsided head of a few pixels, written as DICOM in any orientation."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from appliance.imaging.instances import Instance, parse_instance
from appliance.imaging.stacks import Stack, stacks

ROOT = "1.2.826.0.1.3680043.10.1"
STUDY = f"{ROOT}.1"
AXIAL = (1, 0, 0, 0, 1, 0)
MATRIX = 32
PIXEL_MM = 7.0


def head(slices: int = 8, matrix: int = MATRIX) -> NDArray[np.int16]:
    """Return a head in HU, int16 [Z, Y, X] in the contract's orientation, with no symmetry at all."""
    z, y, x = np.meshgrid(np.arange(slices), np.arange(matrix), np.arange(matrix), indexing="ij")
    radius = np.hypot((y - matrix * 0.48) / 0.42, (x - matrix * 0.52) / 0.36) / matrix
    hu = np.where(radius < 0.9, 27, np.where(radius < 1, 900, -1000))
    hu = np.where((radius < 0.9) & (y + x < matrix * 0.7), 70 + z, hu)
    return (hu + 3 * z % 10 + (y * 5 + x * 3) % 7).astype(np.int16)


def image(
    stored: NDArray[Any],
    origin: Sequence[float],
    *,
    number: int = 1,
    series: int = 1,
    uid: str | None = None,
    orientation: Sequence[float] = AXIAL,
    pixel_mm: tuple[float, float] = (PIXEL_MM, PIXEL_MM),
    intercept: float = -1024,
    slope: float = 1,
    signed: bool = False,
    **attributes: Any,
) -> Dataset:
    """Return one CT image of stored values [rows, columns]; `attributes` win, and those that are None are left out."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    words = np.ascontiguousarray(stored)
    values = {
        "SpecificCharacterSet": "ISO_IR 100",
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": uid or f"{ROOT}.{series}.{number}",
        "StudyInstanceUID": STUDY,
        "SeriesInstanceUID": f"{ROOT}.{series}",
        "FrameOfReferenceUID": f"{ROOT}.9",
        "Modality": "CT",
        "PatientName": "Test^Phantom",
        "PatientID": "PHANTOM-1",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "BodyPartExamined": "HEAD",
        "SeriesDescription": "Head 5.0 soft",
        "SeriesNumber": series,
        "InstanceNumber": number,
        "AcquisitionNumber": 1,
        "AcquisitionDate": "20260101",
        "AcquisitionTime": "120000",
        "SliceThickness": 5,
        "ConvolutionKernel": "H31s",
        "WindowCenter": 40,
        "WindowWidth": 80,
        "ImagePositionPatient": [f"{value:.9g}" for value in origin],
        "ImageOrientationPatient": [f"{value:.9g}" for value in orientation],
        "PixelSpacing": list(pixel_mm),
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": words.shape[0],
        "Columns": words.shape[1],
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": int(signed),
        "RescaleIntercept": intercept,
        "RescaleSlope": slope,
        "RescaleType": "HU",
        "PixelData": words.astype(np.int16 if signed else np.uint16).tobytes(),
    } | attributes
    for keyword, value in values.items():
        if value is not None:
            setattr(dataset, keyword, value)
    return dataset


def series(
    hu: NDArray[np.int16] | None = None,
    *,
    positions_mm: Iterable[float] | None = None,
    spacing_mm: float = 5.0,
    orientation: Sequence[float] = AXIAL,
    pixel_mm: float = PIXEL_MM,
    first_number: int = 1,
    **attributes: Any,
) -> list[Dataset]:
    """Return the images of a head [Z, Y, X] stored in the given orientation of the axial plane, numbered foot first.

    Each stored pixel's place in the patient is worked out from position, orientation and spacing, and the head is
    looked up there, as a scanner would. The head's voxel 0, 0, 0 is at (-100, -100, position of the first slice).
    """
    hu = head() if hu is None else hu
    slices, height, width = hu.shape
    heights = list(np.arange(slices) * spacing_mm if positions_mm is None else positions_mm)
    along_row, along_column = np.array(orientation[:3], float), np.array(orientation[3:], float)
    # The corner that the directions start from.
    corner = np.array([-100.0, -100.0, 0.0])
    extent = np.array([(width - 1) * pixel_mm, (height - 1) * pixel_mm, 0])
    corner = corner + np.where((along_row + along_column) < 0, extent, 0)
    columns = width if abs(along_row[0]) > 0.5 else height
    rows = height if abs(along_row[0]) > 0.5 else width
    made = []
    for z, position in enumerate(heights):
        origin = corner + np.array([0, 0, position])
        r, c = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
        world = origin + pixel_mm * (c[..., None] * along_row + r[..., None] * along_column)
        x = np.rint((world[..., 0] + 100) / pixel_mm).astype(int)
        y = np.rint((world[..., 1] + 100) / pixel_mm).astype(int)
        number = first_number + z
        made.append(
            image(
                hu[z, y, x].astype(int) + 1024,
                origin,
                number=number,
                orientation=orientation,
                pixel_mm=(pixel_mm, pixel_mm),
                **attributes,
            )
        )
    return made


def file(dataset: Dataset) -> bytes:
    """Return the DICOM file of the data set."""
    stream = io.BytesIO()
    dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


def file_with(dataset: Dataset, **raw: bytes) -> bytes:
    """Return the file of the data set with elements whose bytes are given as they shall stand there.

    In implicit VR, so that the reader takes each element for what the dictionary says it is.
    """
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = ROOT
    for keyword, value in raw.items():
        if keyword in dataset:
            del dataset[keyword]
        dataset.add_new(keyword, "OB", value + b" " * (len(value) % 2))
    stream = io.BytesIO()
    dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


class Archive:
    """The files of some images, and what a reader needs: the instances, and `fetch`."""

    def __init__(self, images: Iterable[Dataset | bytes]) -> None:
        self.files = {str(index): one if isinstance(one, bytes) else file(one) for index, one in enumerate(images)}
        self.instances = [parse_instance(ref, data) for ref, data in self.files.items()]

    def fetch(self, ref: str) -> bytes:
        """Return the file of an instance."""
        return self.files[ref]

    @property
    def stacks(self) -> tuple[Stack, ...]:
        """The stacks of all instances."""
        return stacks(self.instances)

    @property
    def stack(self) -> Stack:
        """The only stack."""
        (only,) = self.stacks
        return only


def headers_only(images: Iterable[Dataset]) -> list[Instance]:
    """Return instances without writing and parsing files, for what looks at headers alone."""
    return [Instance(str(index), dataset) for index, dataset in enumerate(images)]
