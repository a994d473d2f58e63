# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A reading room without a network, for the tests of the service's own conduct: everything else in it is real.

It can be told to be away, to break, or to hold a study until it is let go. And small head CTs with UIDs of their own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import generate_uid

from appliance.errors import GaveWayError, UnavailableError
from appliance.inference.detections import ModelIdentity, Reading
from appliance.pipeline import Pipeline
from appliance.reading.detections import Box, Detection
from appliance.reading_room import ReadingRoom
from appliance.settings import Settings
from tests.appliance.imaging import scans

IDENTITY = ModelIdentity("stand-in", "1", "5e" * 32)


class StandInDetector:
    """Answers that there is an IPH in the middle slice, as large as `box`, or nothing without one.

    `conduct` is called first with how often it was asked.
    """

    identity = IDENTITY
    suggested_threshold = 0.5

    def __init__(self, conduct: Callable[[int], None] = lambda _: None) -> None:
        self.conduct = conduct
        self.asked = 0
        self.box: Box | None = Box(200, 200, 260, 260)

    def read(self, hu: NDArray[np.int16], go_on: Callable[[], bool] | None = None) -> Reading:
        self.asked += 1
        suggested = self.suggested_threshold
        self.conduct(self.asked)
        if go_on is not None and not go_on():
            raise GaveWayError("a stand-in gave way")
        if self.box is None:
            return Reading((), (), self.identity, suggested)
        found = Detection(len(hu) // 2, self.box, (0.9, 0.05, 0.02), np.ones((56, 56), np.float32))
        return Reading((found,), (), self.identity, suggested)


class StandInRoom(ReadingRoom):
    """The real pipeline over the stand-in detector."""

    def __init__(self, settings: Settings, detector: StandInDetector | None = None) -> None:
        super().__init__(settings)
        self.detector = detector or StandInDetector()
        self.away = False

    def pipeline(self) -> Pipeline:
        self.probe()
        return Pipeline(self._settings, self.detector)  # type: ignore[arg-type]

    def probe(self) -> None:
        if self.away:
            raise UnavailableError("the stand-in is away")

    def model(self) -> dict[str, str] | None:
        return {"name": IDENTITY.name, "version": IDENTITY.version, "sha256": IDENTITY.sha256}

    def close(self) -> None:
        pass


class Gate:
    """Holds who comes until it is opened."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._open = threading.Event()

    def __call__(self, _asked: int) -> None:
        self.reached.set()
        assert self._open.wait(600)

    def open(self) -> None:
        self._open.set()


def whole_ends(hu: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return a head [Z, Y, X] whose lowest, 14th and highest slice are bone where others show brain."""
    ends = [0, -1] + [13] * (len(hu) > 13)
    hu[ends] = np.where((hu[ends] > 0) & (hu[ends] < 300), 700, hu[ends])
    return hu


def head_series(study: str, slices: int = 14, first: int = 0, series: str = "", **attributes: Any) -> list[bytes]:
    """Return the files of an axial head series of `study`, slices `first` and up of it, foot first.

    The lowest and the highest slice show no inside of the skull, and neither does the 14th: so the first 14 are a whole
    head, and so are all of more. Other parts of the series lack an end (`whole_ends`).
    The same arguments with the same `series` give slices of the same series: the UIDs of slices follow from it.
    """
    series = series or str(generate_uid())
    made = scans.series(
        whole_ends(scans.head(slices))[first:],
        positions_mm=[5.0 * z for z in range(first, slices)],
        first_number=first + 1,
        **attributes,
    )
    for image in made:
        image.StudyInstanceUID, image.SeriesInstanceUID = study, series
        image.SOPInstanceUID = f"{series[:56]}.{image.InstanceNumber}"
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    return [scans.file(image) for image in made]
