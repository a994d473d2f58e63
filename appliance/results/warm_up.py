# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Makes one of every result object from a tiny artificial volume, so that the first study is as fast as the second.

highdicom reads its tables, Pillow its font and pydicom its codecs on first use. This takes most of a second, which the
worker spends before it is ready.
"""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO

import numpy as np
from pydicom import Dataset, dcmwrite
from pydicom.uid import CTImageStorage

from appliance.coverage.coverage import Coverage
from appliance.findings.find import find
from appliance.imaging.volume import Turn, Volume
from appliance.inference.detections import ModelIdentity, Reading
from appliance.reading.contract import MASK_SIZE, TYPES
from appliance.reading.detections import Box, Detection, DismissedProposal
from appliance.reading.lesions import Criteria
from appliance.results.identity import name_uid
from appliance.results.report import report
from appliance.settings import Settings

_SIDE = 32
_SLICES = 4


def warm_up(settings: Settings) -> None:
    """Find and report on an artificial volume with one lesion of each type, write the objects and discard them."""
    volume = Volume(
        hu=np.zeros((_SLICES, _SIDE, _SIDE), np.int16),
        pixel_spacing_mm=(5.0, 5.0),
        positions_mm=np.arange(_SLICES, dtype=np.float64) * 5,
        turn=Turn(),
        headers=tuple(_header(index) for index in range(_SLICES)),
    )
    mask = np.ones((MASK_SIZE, MASK_SIZE), np.float32)
    scores = np.eye(len(TYPES)) * 0.9
    detections = [
        Detection(index, Box(80.0, 130.0 * index, 200.0, 130.0 * index + 110), (score[0], score[1], score[2]), mask)
        for index, score in enumerate(scores)
    ]
    dismissed = DismissedProposal(0, Box(300, 300, 400, 400), (0.01, 0.01, 0.01))
    reading = Reading(tuple(detections), (dismissed,), ModelIdentity("warm-up", "0", "0" * 64), 0.5)
    finding = find(reading, volume, Criteria.of(settings.finding, reading.suggested_threshold))
    covered = Coverage(_SLICES, _SLICES, 5.0 * _SLICES)
    results = report(volume, reading, finding, covered=covered, settings=settings, created=datetime.now(UTC))
    for _, dataset in results.make_datasets():
        dcmwrite(BytesIO(), dataset, enforce_file_format=True)


def _header(index: int) -> Dataset:
    header = Dataset()
    header.SOPClassUID = CTImageStorage
    header.StudyInstanceUID = name_uid("warm-up study")
    header.SeriesInstanceUID = name_uid("warm-up series")
    header.SOPInstanceUID = name_uid(f"warm-up slice {index}")
    header.FrameOfReferenceUID = name_uid("warm-up frame of reference")
    header.Modality = "CT"
    header.Rows = header.Columns = _SIDE
    header.PixelSpacing = [5, 5]
    header.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    header.ImagePositionPatient = [0, 0, 5 * index]
    return header
