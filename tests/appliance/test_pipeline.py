# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import weakref
from collections.abc import Callable
from io import BytesIO
from typing import Any

import highdicom as hd
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmwrite
from pydicom.uid import generate_uid

from appliance import pipeline as pipeline_module
from appliance.errors import Refusal, RefusalCode, RefusedError
from appliance.imaging.instances import parse_instance
from appliance.imaging.pixels import hounsfield
from appliance.imaging.skull import Enclosed
from appliance.imaging.volume import Volume
from appliance.inference.detections import Reading
from appliance.pipeline import Pipeline, ReadAnswer, Study, UnreadAnswer
from appliance.reading.detections import Box, Detection
from appliance.reading.series import CLASSES, SeriesClass
from appliance.sections.answers import FindingSettings
from appliance.settings import Settings
from tests.appliance.imaging import scans
from tests.appliance.stand_in import StandInDetector, head_series


@pytest.mark.parametrize(("site", "counts_from"), [(None, 0.5), (0.8, 0.8)])
def test_a_reading_is_judged_by_the_threshold_of_the_model_that_read_though_another_is_served_by_then(
    site: float | None, counts_from: float
) -> None:
    def exchange(_: int) -> None:
        detector.suggested_threshold = 0.95

    detector = StandInDetector(exchange)
    uid = str(generate_uid())
    files = {str(number): data for number, data in enumerate(head_series(uid))}
    study = Study(uid, tuple(parse_instance(ref, data) for ref, data in files.items()), files.__getitem__)
    pipeline = Pipeline(Settings(finding=FindingSettings(threshold=site)), detector)  # type: ignore[arg-type]
    answer = pipeline.answer(study)
    assert isinstance(answer, ReadAnswer)
    finding = answer.finding
    assert finding.criteria.threshold == counts_from
    assert finding.present


CLOT_HU = 75


class ClotDetector(StandInDetector):
    """Finds the one box of `CLOT_HU` on each slice of what it is given, which has to be square."""

    def read(self, hu: NDArray[np.int16], go_on: Callable[[], bool] | None = None) -> Reading:
        slices, rows, columns = hu.shape
        assert rows == columns, "the network looks at a square"
        found = []
        for z in range(slices):
            y, x = np.nonzero(hu[z] == CLOT_HU)
            if len(y):
                box = Box(*(v * 512 / rows for v in (y.min(), x.min(), y.max() + 1, x.max() + 1)))
                found.append(Detection(z, box, (0.9, 0.05, 0.02), np.ones((56, 56), np.float32)))
        return Reading(tuple(found), (), self.identity, 0.5)


@pytest.mark.parametrize("orientation", [scans.AXIAL, (-1, 0, 0, 0, -1, 0), (0, 1, 0, 1, 0, 0), (0, -1, 0, 1, 0, 0)])
@pytest.mark.parametrize(
    "crop",
    [(slice(None), slice(12, 84)), (slice(None), slice(10, 87)), (slice(6, 90), slice(None))],
    ids=["narrow", "narrow by an odd number", "flat"],
)
def test_a_lesion_on_a_field_that_is_not_square_comes_back_on_its_very_pixels(
    crop: tuple[slice, slice], orientation: tuple[int, ...]
) -> None:
    hu = scans.head(20, 96)
    hu[(hu > 50) & (hu < 200)] = 35
    hu[8:11, 40:52, 36:43] = CLOT_HU
    archive = scans.Archive(scans.series(hu[:, *crop], pixel_mm=2.4, orientation=orientation))
    study = Study(scans.STUDY, tuple(archive.instances), archive.fetch)
    answer = Pipeline(Settings(), ClotDetector()).answer(study)  # type: ignore[arg-type]
    assert isinstance(answer, ReadAnswer)
    np.testing.assert_array_equal(answer.finding.lesion_map > 0, hu[:, *crop] == CLOT_HU)
    seg = answer.results.seg
    assert seg is not None
    file = BytesIO()
    dcmwrite(file, seg, enforce_file_format=True)
    frames = hd.seg.segread(BytesIO(file.getvalue())).get_pixels_by_source_instance(
        [instance.uid for instance in answer.stack.instances],
        assert_missing_frames_are_empty=True,
        ignore_spatial_locations=True,
    )
    stored = np.stack([hounsfield(archive.fetch(one.ref), one) for one in answer.stack.instances])
    np.testing.assert_array_equal(frames[..., 0] != 0, stored == CLOT_HU)


def test_a_volume_that_is_refused_is_gone_before_the_next_best_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    uid = str(generate_uid())
    files = {str(number): data for number, data in enumerate([*head_series(uid), *head_series(uid)])}
    study = Study(uid, tuple(parse_instance(ref, data) for ref, data in files.items()), files.__getitem__)
    read: list[weakref.ref[Volume]] = []
    original = pipeline_module.read_volume

    def read_volume(*arguments: Any) -> Volume:
        assert all(before() is None for before in read)
        volume = original(*arguments)
        read.append(weakref.ref(volume))
        return volume

    def check(volume: Volume) -> Enclosed:
        if len(read) == 1:
            raise RefusedError(Refusal(RefusalCode.NOT_HEAD, "the first one", volume.series_uid))
        return Enclosed(150.0, 27.0, 30.0, 34.0)

    monkeypatch.setattr(pipeline_module, "read_volume", read_volume)
    monkeypatch.setattr(pipeline_module, "check", check)
    answer = Pipeline(Settings(), StandInDetector()).answer(study)  # type: ignore[arg-type]
    assert len(read) == 2
    assert isinstance(answer, ReadAnswer)
    assert [refusal.code for refusal in answer.refusals] == [RefusalCode.NOT_HEAD]


def test_a_series_deleted_before_it_was_read_is_refused_as_deleted_and_not_as_unsuitable() -> None:
    uid = str(generate_uid())
    files = {str(number): data for number, data in enumerate(head_series(uid))}

    def fetch(_: str) -> bytes:
        raise RefusedError(Refusal(RefusalCode.SOURCE_DELETED, "gone"))

    study = Study(uid, tuple(parse_instance(ref, data) for ref, data in files.items()), fetch)
    answer = Pipeline(Settings(), StandInDetector()).answer(study)  # type: ignore[arg-type]
    assert isinstance(answer, UnreadAnswer)
    assert [refusal.code for refusal in answer.refusals] == [RefusalCode.SOURCE_DELETED]


class SoftTissue:
    """A classifier to whom every series looks like the one to read."""

    def is_there(self) -> bool:
        return True

    def classify(self, thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
        said = np.zeros((len(thumbnails), len(CLASSES)), np.float32)
        said[:, CLASSES.index(SeriesClass.SOFT_TISSUE)] = 1
        return said


@pytest.mark.parametrize(("classifier", "read"), [(None, False), (SoftTissue(), True)])
def test_a_head_with_the_words_of_a_bone_series_is_read_when_its_images_look_like_soft_tissue(
    classifier: SoftTissue | None, read: bool
) -> None:
    uid = str(generate_uid())
    files = {str(number): data for number, data in enumerate(head_series(uid, ConvolutionKernel="BONE"))}
    study = Study(uid, tuple(parse_instance(ref, data) for ref, data in files.items()), files.__getitem__)
    answer = Pipeline(Settings(), StandInDetector(), classifier).answer(study)  # type: ignore[arg-type]
    assert isinstance(answer, ReadAnswer) == read
    reasons = answer.selection.judgements[0].reasons_for
    assert any(reason.startswith("the images look like") for reason in reasons) == read
