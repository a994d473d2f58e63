# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The step `report`: an answer as DICOM objects, ready to be stored beside the source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydicom import Dataset

from appliance.findings.finding import Finding
from appliance.imaging.volume import Volume
from appliance.inference.detections import Reading
from appliance.results.heading import heading
from appliance.results.identity import answer_identity
from appliance.results.key_images import KeyImage, key_images, key_object_selection
from appliance.results.key_slices import key_slices
from appliance.results.segmentation import segmentation
from appliance.results.structured_report import structured_report
from appliance.settings import Settings

LIBRARY_SLICES = 6
"""Slices in the SR's image library when the site wants no key images."""


@dataclass(frozen=True)
class Results:
    """The result objects of one answer.

    `seg` is None when nothing was found; `key_images` and `key_object_selection` are empty when the site wants none.
    """

    sr: Dataset
    seg: Dataset | None
    key_images: tuple[KeyImage, ...]
    key_object_selection: Dataset | None

    def announced(self) -> list[tuple[str, Dataset]]:
        """Return every object with a file name (no extension), in the order to store them: what is referenced first.

        The SR comes as early as it can, since a reader waits for it. Key images have no pixels here: nothing is drawn.
        """
        named = [("seg", self.seg), ("sr", self.sr)]
        named += [(_name(one), one.undrawn) for one in self.key_images]
        named.append(("key-objects", self.key_object_selection))
        return [(name, dataset) for name, dataset in named if dataset is not None]

    def named_datasets(self) -> Iterator[tuple[str, Dataset]]:
        """Yield the objects in the same order, whole: each key image is drawn when its turn comes.

        Raises `DrawingError` when one cannot be drawn; SEG and SR have been yielded by then.
        """
        by_name = {_name(one): one for one in self.key_images}
        for name, dataset in self.announced():
            yield name, by_name[name].capture if name in by_name else dataset

    def key_image_pngs(self) -> list[tuple[str, bytes]]:
        """Return each key image as a PNG file, with its file name (no extension)."""
        return [(_name(one), one.png()) for one in self.key_images]


def _name(key_image: KeyImage) -> str:
    return f"key-image-{key_image.undrawn.InstanceNumber}"


def report(
    volume: Volume,
    reading: Reading,
    finding: Finding,
    *,
    settings: Settings,
    created: datetime,
    supersedes: tuple[str, str] | None = None,
    selection_reasons: Sequence[str] = (),
) -> Results:
    """Return the result objects of an answer.

    Parameters
    ----------
    created: when the answer was made, with its time zone. It is the only thing in which a repeat differs; UIDs do not.
    supersedes: SOP Class UID and SOP Instance UID of the older SR of this study that this answer replaces.
    selection_reasons: why this series was read, sentences for people.
    """
    identity = answer_identity(volume, reading.model, finding.criteria, settings)
    head = heading(volume, identity, created, settings.results.institution, reading.model)
    slices = key_slices(volume, reading, finding, settings.results.key_images or LIBRARY_SLICES)
    seg = segmentation(volume, finding, head) if finding.lesions else None
    sr = structured_report(
        volume,
        finding,
        head,
        sop_class=settings.results.sr_sop_class,
        segmentation=seg,
        key_slices=slices,
        selection_reasons=selection_reasons,
        supersedes=supersedes,
    )
    images = key_images(volume, reading, finding, head, slices) if settings.results.key_images else ()
    return Results(sr, seg, images, key_object_selection(images, finding, head) if images else None)
