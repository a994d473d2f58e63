# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Key images: the slices that matter as secondary captures, and the Key Object Selection that names them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property, partial
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import KeyObjectSelectionDocumentStorage, RLELossless, SecondaryCaptureImageStorage

from appliance.coverage.coverage import Coverage
from appliance.errors import DrawingError
from appliance.findings.finding import Finding
from appliance.imaging.header import text
from appliance.imaging.volume import Volume
from appliance.inference.detections import Reading
from appliance.reading.detections import Box
from appliance.results import codes, kinds
from appliance.results import content_items as items
from appliance.results.colours import COLOURS
from appliance.results.content_items import Relation
from appliance.results.drawing import INK, PART_INK, WINDOW_CENTRE_HU, WINDOW_WIDTH_HU, Colour, Mark, draw_slice
from appliance.results.facts import lesion_facts, lesion_headline
from appliance.results.heading import MANUFACTURER, MODEL_NAME, Heading
from appliance.results.run_length import run_length_frame
from appliance.results.wording import PART_ONLY, RESEARCH_USE, of_part

MOST_DISMISSED: Final = 3
"""Dismissed proposals shown on one slice, the likeliest first."""

MOST_TITLES: Final = 4
"""Lesions named above one slice, the largest first."""

COVERED: Final = 0.3
"""A box that shares more than this with a likelier one adds nothing."""


@dataclass(frozen=True, eq=False)
class KeyImage:
    """One slice as a secondary capture, drawn when its pixels are first needed, so that the SR does not wait.

    `undrawn` is the capture without its pixels and stays so. `draw` returns the pixels, RGB uint8 [rows, columns, 3];
    `compressed` says whether the capture holds them in RLE Lossless or uncompressed.
    """

    undrawn: Dataset
    draw: Callable[[], NDArray[np.uint8]]

    compressed: bool = True

    @cached_property
    def picture(self) -> NDArray[np.uint8]:
        """The picture, RGB uint8 [rows, columns, 3]. Raises `DrawingError` when it cannot be drawn."""
        try:
            return self.draw()
        except Exception as error:
            number = self.undrawn.InstanceNumber
            raise DrawingError(f"key image {number} could not be drawn ({type(error).__name__})") from error

    @cached_property
    def capture(self) -> Dataset:
        """The whole secondary capture, in RLE Lossless if `compressed`. Raises `DrawingError` as `picture` does."""
        picture = self.picture
        capture = deepcopy(self.undrawn)  # a shallow copy of a Dataset shares its elements
        capture.Rows, capture.Columns = picture.shape[:2]
        if self.compressed:
            capture.file_meta.TransferSyntaxUID = RLELossless
            capture.PixelData = encapsulate([run_length_frame(picture)])
            capture["PixelData"].is_undefined_length = True
        else:
            pixels = picture.tobytes()
            capture.PixelData = pixels + b"\0" * (len(pixels) % 2)
        capture["PixelData"].VR = "OB"
        return capture

    def png(self) -> bytes:
        """Return the key image as a PNG file that names the key image it shows.

        Raises `DrawingError` as `picture` does.
        """
        whose = PngInfo()
        whose.add_text("Software", MODEL_NAME)
        whose.add_text("SOPInstanceUID", str(self.undrawn.SOPInstanceUID))
        file = BytesIO()
        Image.fromarray(self.picture).save(file, "PNG", pnginfo=whose)
        return file.getvalue()


def key_images(
    volume: Volume,
    reading: Reading,
    finding: Finding,
    heading: Heading,
    slices: Sequence[int],
    covered: Coverage,
    *,
    compressed: bool = True,
    burned_in: bool = False,
    change: str = "",
) -> tuple[KeyImage, ...]:
    """Return a key image of each of `slices` (Z indices), numbered in their order.

    `change` says in a few words what has changed since the prior CT, empty for nothing; it stands on each picture.
    With `burned_in`, text was seen in the pixels of the source, and every key image says so of its own pixels.

    Until they are drawn they hold the HU of their slices, not the volume.
    """
    return tuple(
        KeyImage(
            _capture(volume, heading, index, number, burned_in),
            partial(
                _picture,
                volume.hu[index].copy(),
                volume.pixel_spacing_mm,
                f"Slice {index + 1} of {volume.slices}   position {volume.positions_mm[index]:+.1f} mm",
                reading,
                finding,
                index,
                covered,
                change,
            ),
            compressed,
        )
        for number, index in enumerate(slices, 1)
    )


def key_object_selection(images: Sequence[KeyImage], finding: Finding, heading: Heading, covered: Coverage) -> Dataset:
    """Return the Key Object Selection (TID 2010) that names the key images."""
    captures = [one.undrawn for one in images]
    document = Dataset()
    heading.write(document, kinds.KEY_OBJECTS, KeyObjectSelectionDocumentStorage)
    document.ReferencedPerformedProcedureStepSequence = []
    document.CurrentRequestedProcedureEvidenceSequence = [
        items.evidence(
            document.StudyInstanceUID,
            [(captures[0].SeriesInstanceUID, [(one.SOPClassUID, one.SOPInstanceUID) for one in captures])],
        )
    ]
    where = of_part(covered.facts)
    said = f"Slices with hemorrhage{where}." if finding.present else f"No hemorrhage found{where}; what came closest."
    document.update(
        items.container(
            codes.OF_INTEREST if finding.present else codes.BEST_IN_SET,
            [
                # "Best In Set" says of which set; "Of Interest" has no modifier (PS3.16 TID 2010, CID 7012).
                *(
                    []
                    if finding.present
                    else [items.code(codes.DOCUMENT_TITLE_MODIFIER, codes.SERIES, Relation.MODIFIES)]
                ),
                items.code(codes.LANGUAGE, codes.ENGLISH, Relation.MODIFIES),
                items.code(codes.OBSERVER_TYPE, codes.DEVICE, Relation.CONTEXT),
                items.uid(codes.DEVICE_UID, heading.device_uid, Relation.CONTEXT),
                items.text(codes.DEVICE_NAME, MODEL_NAME, Relation.CONTEXT),
                items.text(codes.DEVICE_MANUFACTURER, MANUFACTURER, Relation.CONTEXT),
                items.text(codes.KEY_OBJECT_DESCRIPTION, f"{said} {RESEARCH_USE}"),
                *(items.image(codes.SOURCE, one.SOPClassUID, one.SOPInstanceUID) for one in captures),
            ],
            relation=None,
            template="2010",
        )
    )
    return document


def _picture(
    hu: NDArray[np.int16],
    pixel_spacing_mm: tuple[float, float],
    place: str,
    reading: Reading,
    finding: Finding,
    index: int,
    covered: Coverage,
    change: str,
) -> NDArray[np.uint8]:
    """Return the picture of the slice `index` with HU [Y, X] `hu`; `place` says in words where it lies."""
    plane = finding.lesion_map[index]
    return draw_slice(
        hu,
        pixel_spacing_mm,
        [(lesion.type, plane == lesion.number) for lesion in finding.lesions if index in lesion.slices],
        _marks(reading, finding, index),
        [*_title(finding, index, covered), *(((f"Head {change}", PART_INK),) if change else ())],
        (f"{place}   W {WINDOW_WIDTH_HU} L {WINDOW_CENTRE_HU}", RESEARCH_USE),
    )


def _title(finding: Finding, index: int, covered: Coverage) -> list[tuple[str, Colour]]:
    """Return the words above the image: what is on this slice, and that the slices are a part of the head."""
    part = [(PART_ONLY, PART_INK)] if covered.partial else []
    lesions = [lesion for lesion in finding.lesions if index in lesion.slices]
    if lesions:
        return part + [
            (lesion_headline(lesion_facts(lesion)), COLOURS[lesion.type])
            for lesion in lesions[: MOST_TITLES - len(part)]
        ]
    if finding.present or part:
        return [*part, ("No hemorrhage on this slice", INK)]
    return [("No hemorrhage found", INK)]


def _marks(reading: Reading, finding: Finding, index: int) -> list[Mark]:
    """Return the boxes of one slice: detections that count, then the likeliest dismissed proposals beside them.

    Detections that only extend a lesion are left out if others cover them: the outline shows what they add.
    """
    marks: list[Mark] = []
    for one in (one for one in finding.counted if one.slice_index == index):
        if one.score >= finding.criteria.threshold or not _is_covered(one.box, marks):
            marks.append(Mark(one.box, f"{one.type.display} {one.score:.2f}", one.type))
    below = [
        (one.score, one.box) for one in reading.detections if one.slice_index == index and one not in finding.counted
    ]
    below += [(max(one.scores), one.box) for one in reading.dismissed if one.slice_index == index]
    most = len(marks) + MOST_DISMISSED
    for score, box in sorted(below, key=lambda pair: -pair[0]):
        if len(marks) < most and not _is_covered(box, marks):
            marks.append(Mark(box, f"dismissed {score:.2f}", None))
    return marks


def _is_covered(box: Box, marks: Sequence[Mark]) -> bool:
    """Return whether a mark covers so much of a box that the box adds nothing."""
    return any(_share(box, mark.box) > COVERED for mark in marks)


def _share(box: Box, other: Box) -> float:
    """Return how much of a box's area another covers, 0 .. 1."""
    high = min(box.y2, other.y2) - max(box.y1, other.y1)
    wide = min(box.x2, other.x2) - max(box.x1, other.x1)
    area = (box.y2 - box.y1) * (box.x2 - box.x1)
    return max(high, 0) * max(wide, 0) / area if area > 0 else 0.0


def _capture(volume: Volume, heading: Heading, index: int, number: int, burned_in: bool) -> Dataset:
    """Return the Secondary Capture of a slice without its pixels, Rows and Columns."""
    capture = Dataset()
    heading.write(capture, kinds.KEY_IMAGES, SecondaryCaptureImageStorage, instance=number)
    capture.ImageType = ["DERIVED", "SECONDARY"]
    capture.ConversionType = "WSD"
    capture.DateOfSecondaryCapture = capture.ContentDate
    capture.TimeOfSecondaryCapture = capture.ContentTime
    capture.BodyPartExamined = "HEAD"
    # Text drawn into the source, perhaps a name, is in this picture too, whether the header says so or not.
    declared = text(volume.headers[index], "BurnedInAnnotation").upper() == "YES"
    capture.BurnedInAnnotation = "YES" if burned_in or declared else "NO"
    capture.RecognizableVisualFeatures = "NO"
    capture.LossyImageCompression = "00"
    capture.PatientOrientation = ["L", "P"]
    capture.DerivationDescription = f"Window {WINDOW_WIDTH_HU}/{WINDOW_CENTRE_HU}, findings drawn in. {RESEARCH_USE}"
    header = volume.headers[index]
    source = Dataset()
    source.ReferencedSOPClassUID = header.SOPClassUID
    source.ReferencedSOPInstanceUID = header.SOPInstanceUID
    capture.SourceImageSequence = [source]
    capture.SamplesPerPixel = 3
    capture.PhotometricInterpretation = "RGB"
    capture.PlanarConfiguration = 0
    capture.BitsAllocated = capture.BitsStored = 8
    capture.HighBit = 7
    capture.PixelRepresentation = 0
    return capture
