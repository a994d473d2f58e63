# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""From one image file to its HU: decoding, bits, padding and rescale, as its header says, or a refusal.

Every transfer syntax leads to the same words of `Bits Allocated`, and then one rule holds: shift out the bits above the
stored ones, extend the sign, apply slope and intercept. Nothing is guessed: an image is refused if its header does not
say how its values become HU.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import get_frame
from pydicom.filereader import read_partial
from pydicom.pixels.decoders.base import get_decoder
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)
from scipy import ndimage

from appliance.errors import Refusal, RefusalCode, RefusedError
from appliance.imaging.bounded import bounded_file
from appliance.imaging.codestream import CodestreamSize, jpeg_2000_size, jpeg_is_whole, jpeg_size
from appliance.imaging.header import integer, number, text
from appliance.imaging.instances import Instance

AIR_HU = -1024
"""The value of padding in a volume, which is also the least value of a volume.

Padding (outside the reconstruction circle) may hold anything: -2000, -3024, even bright values. It is no measurement,
so it becomes air. No matter is less dense than vacuum (-1000 HU, and noise), so lower values are undeclared padding,
which would ring when the image is resized.
"""
_HIGHEST_HU = 32767
_NO_TISSUE_HU = -500
"""Padding up to this value cannot be confused with anything in a head, wherever it is."""
_BRIGHTER_THAN_TISSUE_HU = 1500
_MOSTLY = 0.9
_RLE_AT_MOST = 1.25
"""Run-length coding lengthens pixels by at most a 128th and a byte or two per row (PS3.5 Annex G)."""
_RLE_HEADERS = 1024
_BELOW_ALL_AIR_HU = -1150
_MUCH_OF_AN_IMAGE = 0.1
_ONE_VALUE = 0.5
"""Padding has one value, or nearly so. Noisy values less dense than vacuum are air, wrongly scaled."""

_IMAGE_PIXEL_TAGS = [
    Tag(keyword)
    for keyword in (
        "SOPInstanceUID",
        "SamplesPerPixel",
        "PhotometricInterpretation",
        "NumberOfFrames",
        "Rows",
        "Columns",
        "BitsAllocated",
        "BitsStored",
        "HighBit",
        "PixelRepresentation",
        "PixelData",
    )
]
_PIXEL_DATA = 0x7FE00010
_RESCALED_UNITS = ("", "HU", "US")  # US is "unspecified"; other quantities are named (effective Z, electron density)


@dataclass(frozen=True)
class PixelFormat:
    """How the stored values of one image become HU. `padding` is the range of padding values, inclusive."""

    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    slope: float
    intercept: float
    padding: tuple[int, int] | None

    @property
    def byte_count(self) -> int:
        """How many bytes one uncompressed image has."""
        return self.rows * self.columns * self.bits_allocated // 8


def pixel_format(header: Dataset) -> PixelFormat:
    """Return how the image with this header stores HU.

    Raises `RefusedError`: BAD_PIXELS when it is not one frame of one grey sample a pixel in 8 or 16 bits, NO_RESCALE
    when slope or intercept is missing or unusable, or gives something else than HU.
    """
    grey = text(header, "PhotometricInterpretation")
    if grey != "MONOCHROME2":
        raise _refusal(header, RefusalCode.BAD_PIXELS, "Photometric Interpretation is not MONOCHROME2")
    for keyword in ("SamplesPerPixel", "NumberOfFrames"):
        if header.get(keyword) is not None and integer(header, keyword) != 1:
            raise _refusal(header, RefusalCode.BAD_PIXELS, f"{keyword} is not 1")
    rows, columns = integer(header, "Rows"), integer(header, "Columns")
    if rows is None or columns is None or rows < 1 or columns < 1:
        raise _refusal(header, RefusalCode.BAD_GEOMETRY, "Rows or Columns is missing or not positive")
    allocated, representation = integer(header, "BitsAllocated"), integer(header, "PixelRepresentation")
    if allocated not in (8, 16):
        raise _refusal(header, RefusalCode.BAD_PIXELS, f"Bits Allocated is {allocated}, not 8 or 16")
    if representation not in (0, 1):
        raise _refusal(header, RefusalCode.BAD_PIXELS, "Pixel Representation says neither unsigned nor signed")
    stored = integer(header, "BitsStored") if header.get("BitsStored") is not None else allocated
    if stored is None or not 1 < stored <= allocated:
        raise _refusal(header, RefusalCode.BAD_PIXELS, f"Bits Stored is {stored} of {allocated}")
    high_bit = integer(header, "HighBit") if header.get("HighBit") is not None else stored - 1
    if high_bit is None or not stored - 1 <= high_bit < allocated:
        raise _refusal(header, RefusalCode.BAD_PIXELS, f"High Bit is {high_bit} with {stored} of {allocated} bits")

    slope, intercept = number(header, "RescaleSlope"), number(header, "RescaleIntercept")
    if slope is None or intercept is None or not 1e-4 <= slope <= 1e3 or abs(intercept) > 1e5:
        raise _refusal(
            header,
            RefusalCode.NO_RESCALE,
            "Rescale Slope and Intercept are missing, or not one sensible number each: the values are not HU",
        )
    if text(header, "RescaleType") not in _RESCALED_UNITS:
        raise _refusal(header, RefusalCode.NO_RESCALE, "Rescale Type is not HU")
    signed = representation == 1
    return PixelFormat(
        rows, columns, allocated, stored, high_bit, signed, slope, intercept, _padding(header, allocated, signed)
    )


def hounsfield(data: bytes, instance: Instance) -> NDArray[np.int16]:
    """Return the HU of one image, int16 [rows, columns] as stored, padding as air.

    `data` is the file, `instance` its parsed header. Raises `RefusedError`: as `pixel_format`, and BAD_PIXELS when the
    pixel data is missing, too short, too long or cannot be decoded, IMPLAUSIBLE_HU when air measures less than vacuum.
    """
    form = pixel_format(instance.header)
    values, padded = _stored_values(_words(data, instance, form), form)
    rescaled = _rescale(values, form)
    air_hu = air_below_vacuum_hu(rescaled, padded)
    if air_hu is not None:
        raise _refusal(
            instance.header,
            RefusalCode.IMPLAUSIBLE_HU,
            f"air measures {air_hu:.0f} HU, less than a vacuum: the values do not look like HU",
        )
    hu = np.asarray(np.clip(rescaled, AIR_HU, _HIGHEST_HU, out=rescaled), np.int16)
    undeclared = _undeclared_padding(hu)
    if undeclared is not None:
        padded = undeclared if padded is None else padded | undeclared
    if padded is not None:
        if (hu[padded] > _NO_TISSUE_HU).any():
            padded = (padded & (hu <= _NO_TISSUE_HU)) | _from_the_edge(padded)
        hu[padded] = AIR_HU
    return hu


def _undeclared_padding(hu: NDArray[np.int16]) -> NDArray[np.bool_] | None:
    """Return where padding stands that no header declares and that is no air, None where nowhere.

    Outside the reconstruction circle some write what does not fit (-2000 as 63536), the highest value, or 0: one value
    in all four corners, brighter than any tissue or with air right beside it.
    """
    value = hu[0, 0]
    if value <= _NO_TISSUE_HU or not (value == hu[0, -1] == hu[-1, 0] == hu[-1, -1]):
        return None
    padded = _from_the_edge(hu == value)
    if value > _BRIGHTER_THAN_TISSUE_HU:
        return padded
    beside = hu[ndimage.binary_dilation(padded) & ~padded]
    return padded if beside.size and np.mean(beside < _NO_TISSUE_HU) > _MOSTLY else None


def _from_the_edge(padded: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return where padding is connected to the edge of the image [rows, columns].

    Some scanners declare a padding value that tissue or metal may have too (0 where 0 is water, or the highest value).
    Around the reconstruction circle it is padding; inside a head it is a measurement that must stay.
    """
    edge = np.ones_like(padded)
    edge[1:-1, 1:-1] = False
    return np.asarray(ndimage.binary_propagation(padded & edge, mask=padded), np.bool_)


def _refusal(header: Dataset, code: RefusalCode, what: str) -> RefusedError:
    return RefusedError(Refusal(code, f"image {header.SOPInstanceUID}: {what}", str(header.SeriesInstanceUID)))


def _padding(header: Dataset, allocated: int, signed: bool) -> tuple[int, int] | None:
    """Return the range of padding values, None when none is declared.

    Some scanners write the value with the other signedness (63536 for -2000), so only its bits count.
    """
    first = integer(header, "PixelPaddingValue")
    if first is None:
        return None
    limit = integer(header, "PixelPaddingRangeLimit")
    whole = 1 << allocated

    def as_word(value: int) -> int:
        word = value % whole
        return word - whole if signed and word >= whole // 2 else word

    ends = as_word(first), as_word(first if limit is None else limit)
    return min(ends), max(ends)


def _words(data: bytes, instance: Instance, form: PixelFormat) -> NDArray[np.unsignedinteger]:
    """Return the pixels as unsigned words of Bits Allocated, [rows, columns], read-only where they can be."""
    header = instance.header
    try:
        image = read_partial(
            io.BytesIO(bounded_file(data)),
            stop_when=lambda tag, _vr, _length: tag > _PIXEL_DATA,
            force=True,
            specific_tags=list(_IMAGE_PIXEL_TAGS),
        )
        if str(image.get("SOPInstanceUID")) != instance.uid:
            raise _refusal(header, RefusalCode.BAD_PIXELS, "the file now holds another image")
        pixels = image.get("PixelData")
        if not isinstance(pixels, bytes) or not pixels:
            raise _refusal(header, RefusalCode.BAD_PIXELS, "there is no pixel data")
        syntax = UID(text(image.file_meta, "TransferSyntaxUID") or ImplicitVRLittleEndian)
        if not syntax.is_compressed:
            return _native_words(pixels, header, form, big_endian=syntax == ExplicitVRBigEndian)
        if form.high_bit != form.bits_stored - 1:
            raise _refusal(header, RefusalCode.BAD_PIXELS, "compressed, with the stored bits not the lowest ones")
        _look_before_decoding(get_frame(pixels, 0, number_of_frames=1), syntax, header, form)
        # CharLS refuses a damaged JPEG-LS stream; the next decoder in pydicom's list would decode it somehow.
        plugin = "pyjpegls" if syntax in JPEGLSTransferSyntaxes else ""
        decoded, _ = get_decoder(syntax).as_array(image, raw=True, index=0, decoding_plugin=plugin)
    except RefusedError:
        raise
    except Exception as error:  # decoders may raise nearly anything on a damaged stream
        raise _refusal(
            header, RefusalCode.BAD_PIXELS, f"the pixel data cannot be decoded ({type(error).__name__})"
        ) from None
    if decoded.shape != (form.rows, form.columns) or decoded.dtype.itemsize * 8 != form.bits_allocated:
        raise _refusal(header, RefusalCode.BAD_PIXELS, "the pixel data decodes to another matrix than the header says")
    return np.asarray(decoded).view(f"u{decoded.dtype.itemsize}")


def _look_before_decoding(frame: bytes, syntax: UID, header: Dataset, form: PixelFormat) -> None:
    """Refuse a compressed frame that was cut short or is not of the size that the header says."""
    if syntax == RLELossless:
        # Its decoder expands the whole frame before it compares the result with the matrix: 64 bytes for each byte.
        if len(frame) > _RLE_AT_MOST * form.byte_count + _RLE_HEADERS:
            raise _refusal(
                header, RefusalCode.BAD_PIXELS, "the run-length coded pixel data is longer than any such image"
            )
        return
    if syntax in JPEGTransferSyntaxes or syntax in JPEGLSTransferSyntaxes:
        size = jpeg_size(frame)
        if not jpeg_is_whole(frame):
            raise _refusal(header, RefusalCode.BAD_PIXELS, "the compressed pixel data is cut short")
    else:
        size = jpeg_2000_size(frame)
    if size != CodestreamSize(form.rows, form.columns, samples=1):
        raise _refusal(
            header, RefusalCode.BAD_PIXELS, "the compressed pixel data has another size than the header says"
        )


def _native_words(
    pixels: bytes, header: Dataset, form: PixelFormat, *, big_endian: bool
) -> NDArray[np.unsignedinteger]:
    """Return uncompressed pixel data as words, [rows, columns]."""
    spare = len(pixels) - form.byte_count
    if not 0 <= spare < form.columns * form.bits_allocated // 8:  # less than a row: someone's alignment
        raise _refusal(
            header,
            RefusalCode.BAD_PIXELS,
            f"the pixel data has {len(pixels)} bytes where {form.rows} x {form.columns} pixels have {form.byte_count}",
        )
    if form.bits_allocated == 8:
        if big_endian:  # whether bytes are swapped in pairs depends on the VR that they were written with
            raise _refusal(header, RefusalCode.BAD_PIXELS, "8 bits allocated in big endian order are not read")
        kind = "u1"
    else:
        kind = ">u2" if big_endian else "<u2"
    words = np.frombuffer(pixels, kind, form.rows * form.columns)
    return words.reshape(form.rows, form.columns).astype(words.dtype.newbyteorder("="), copy=False)


def _stored_values(
    words: NDArray[np.unsignedinteger], form: PixelFormat
) -> tuple[NDArray[np.integer], NDArray[np.bool_] | None]:
    """Return the stored values with their sign, and where padding stands (None where nowhere).

    Padding is searched for twice: in the whole words, because padding of -2000 does not fit 12 stored bits, and in the
    stored values, because the bits above them may hold anything.
    """
    size = words.dtype.itemsize
    whole: NDArray[np.integer] = words.view(f"i{size}") if form.signed else words
    above = form.bits_allocated - 1 - form.high_bit
    below = form.bits_allocated - form.bits_stored
    values: NDArray[np.integer] = whole if below == 0 else np.right_shift(np.left_shift(whole, above), below)
    if form.padding is None:
        return values, None
    first, last = form.padding
    padded = (whole >= first) & (whole <= last)
    if below:
        padded |= (values >= first) & (values <= last)
    return values, padded


def _rescale(values: NDArray[np.integer], form: PixelFormat) -> NDArray[Any]:
    """Return slope * value + intercept, rounded, in a type that holds them."""
    if form.slope == 1 and form.intercept == int(form.intercept):
        return np.asarray(np.add(values, int(form.intercept), dtype=np.int32))
    return np.asarray(np.rint(values * form.slope + form.intercept))


def air_below_vacuum_hu(hu: NDArray[Any], padded: NDArray[np.bool_] | None = None) -> float | None:
    """Return the median of the values less dense than vacuum that are not padding; None unless they are frequent.

    A wrong slope moves the air around the head to such values (1.5 times -1000 HU), and clipping would hide that.
    """
    below = hu < _BELOW_ALL_AIR_HU
    if padded is not None:
        below &= ~padded
    if np.count_nonzero(below) < _MUCH_OF_AN_IMAGE * hu.size:
        return None
    found = hu[below]
    _, counts = np.unique(found, return_counts=True)
    return None if counts.max() > _ONE_VALUE * found.size else float(np.median(found))
