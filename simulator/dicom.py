# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How HU become bytes in a DICOM file: number format, rescale, padding, transfer syntax, UIDs and the file itself.

It knows nothing of heads, series or vendors. What a header says besides the pixels is `headers.py`.
"""

from __future__ import annotations

import subprocess
import tempfile
import uuid
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

HU_RANGE: Final = (-1024, 3071)
"""What any scanner here stores; the range of 12 bits."""

_UID_NAMESPACE: Final = uuid.UUID("0b6f7d0e-9c3b-5f64-8f1e-2f0c8d1c7a11")


class TransferSyntax(StrEnum):
    """The transfer syntaxes that studies are written in, every one lossless."""

    EXPLICIT = "explicit"
    IMPLICIT = "implicit"
    DEFLATED = "deflated"
    JPEG_LOSSLESS = "jpeg-lossless"
    JPEG_LS = "jpeg-ls"
    JPEG_2000 = "jpeg-2000"
    RLE = "rle"

    @property
    def uid(self) -> UID:
        """The DICOM Transfer Syntax UID."""
        return {
            TransferSyntax.EXPLICIT: ExplicitVRLittleEndian,
            TransferSyntax.IMPLICIT: ImplicitVRLittleEndian,
            TransferSyntax.DEFLATED: DeflatedExplicitVRLittleEndian,
            TransferSyntax.JPEG_LOSSLESS: JPEGLosslessSV1,
            TransferSyntax.JPEG_LS: JPEGLSLossless,
            TransferSyntax.JPEG_2000: JPEG2000Lossless,
            TransferSyntax.RLE: RLELossless,
        }[self]


@dataclass(frozen=True)
class Uids:
    """UIDs that follow a key: the same key and parts give the same UID (2.25 and a name-based UUID, PS3.5 B.2)."""

    key: str

    def of(self, *parts: str | int) -> str:
        """Return the UID of the thing that `parts` name, such as `of("instance", "axial", 3)`."""
        return f"2.25.{uuid.uuid5(_UID_NAMESPACE, '/'.join([self.key, *map(str, parts)])).int}"


@dataclass(frozen=True)
class Storage:
    """The number format a scanner stores HU in.

    Attributes
    ----------
    signed: two's complement or unsigned.
    bits: Bits Stored, 12 to 16, in 16 bits allocated.
    intercept: Rescale Intercept, HU.
    slopes: Rescale Slope of the slices, taken in turn; powers of two, so that whole HU come back exactly.
    padding: the stored value of pixels outside the field of view with its Pixel Padding Value attribute, or None for
        scanners that fill with the lowest HU and say nothing.
    """

    signed: bool
    bits: int
    intercept: int
    slopes: tuple[float, ...] = (1.0,)
    padding: int | None = None

    def slope(self, index: int) -> float:
        """Return the Rescale Slope of slice `index`."""
        return self.slopes[index % len(self.slopes)]

    def encode(
        self, hu: NDArray[np.int16], outside: NDArray[np.bool_] | None, index: int
    ) -> NDArray[np.int16] | NDArray[np.uint16]:
        """Return slice `index` [rows, columns] in HU as stored values; `outside` marks pixels beyond the field of view.

        Raises
        ------
        OverflowError: a value does not fit into `bits`.
        """
        values = np.clip(hu.astype(np.int32), *HU_RANGE)
        if outside is not None:
            values = np.where(outside, HU_RANGE[0], values)
        scaled = np.rint((values - self.intercept) / self.slope(index)).astype(np.int32)
        if outside is not None and self.padding is not None:
            scaled = np.where(outside, self.padding, scaled)
        low, high = (-(1 << self.bits - 1), (1 << self.bits - 1) - 1) if self.signed else (0, (1 << self.bits) - 1)
        if scaled.min() < low or scaled.max() > high:
            raise OverflowError(f"stored values {scaled.min()} to {scaled.max()} do not fit into {low} to {high}")
        return scaled.astype(np.int16) if self.signed else scaled.astype(np.uint16)


def set_ct_pixels(
    dataset: Dataset, hu: NDArray[np.int16], outside: NDArray[np.bool_] | None, storage: Storage, index: int
) -> None:
    """Put slice `index` [rows, columns] in HU into `dataset`, with the attributes that say how to read it back.

    `dataset` says its Image Type already.
    """
    stored = storage.encode(hu, outside, index)
    set_gray_pixels(dataset, stored, storage.bits)
    dataset.RescaleIntercept = storage.intercept
    dataset.RescaleSlope = f"{storage.slope(index):g}"
    # A scout shows attenuation, not HU (PS3.3 C.8.2.1.1.4); "US" is the standard's word for unspecified.
    dataset.RescaleType = "US" if "LOCALIZER" in dataset.ImageType else "HU"
    if storage.padding is not None and outside is not None:
        dataset.PixelPaddingValue = storage.padding


def set_gray_pixels(dataset: Dataset, stored: NDArray[Any], bits: int) -> None:
    """Put one plane of stored values [rows, columns] (uint8, uint16 or int16) uncompressed into `dataset`."""
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored.shape
    dataset.BitsAllocated = 8 * stored.dtype.itemsize
    dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    dataset.PixelRepresentation = int(np.issubdtype(stored.dtype, np.signedinteger))
    dataset.add_new("PixelData", "OW", np.ascontiguousarray(stored).astype(stored.dtype.newbyteorder("<")).tobytes())


def write_dicom(dataset: Dataset, path: Path, syntax: TransferSyntax) -> None:
    """Write `dataset`, whose pixels are uncompressed, as a DICOM file in `syntax`; its UIDs stay as they are.

    Raises
    ------
    FileNotFoundError: JPEG lossless was asked for and dcmtk's `dcmcjpeg` is not installed.
    """
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if syntax is TransferSyntax.JPEG_LOSSLESS:
        _compress_jpeg_lossless(dataset)
    elif syntax.uid.is_encapsulated:
        dataset.compress(syntax.uid, generate_instance_uid=False)
    else:
        dataset.file_meta.TransferSyntaxUID = syntax.uid
    dataset.save_as(path, enforce_file_format=True)


def _compress_jpeg_lossless(dataset: Dataset) -> None:
    """Compress in place with dcmtk: no Python package encodes JPEG lossless, first-order prediction."""
    with tempfile.TemporaryDirectory() as folder:
        plain, compressed = Path(folder) / "plain.dcm", Path(folder) / "compressed.dcm"
        dataset.save_as(plain, enforce_file_format=True)
        subprocess.run(["dcmcjpeg", "--encode-lossless-sv1", plain, compressed], check=True, capture_output=True)
        pixels = pydicom.dcmread(compressed)["PixelData"]
    dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    dataset["PixelData"] = pixels
