# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.uid import generate_uid

from appliance import pipeline as pipeline_module
from appliance.errors import Refusal, RefusalCode, RefusedError
from appliance.imaging.instances import parse_instance
from appliance.imaging.volume import Volume
from appliance.pipeline import Pipeline, ReadAnswer, Study, UnreadAnswer
from appliance.reading.series import CLASSES, SeriesClass
from appliance.settings import FindingSettings, Settings
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

    def check(volume: Volume) -> None:
        if len(read) == 1:
            raise RefusedError(Refusal(RefusalCode.NOT_HEAD, "the first one", volume.series_uid))

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
