# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The segmentation, read back by highdicom and dcmqi."""

from __future__ import annotations

from pathlib import Path

import highdicom as hd
import numpy as np
import pytest

from appliance.imaging.volume import Turn, Volume
from tests.appliance.phantom import made_volume
from tests.appliance.results.answers import Answered, answered, negative, volumes
from tests.appliance.results.validators import dciodvfy_errors, itk_segments, written


@pytest.fixture(params=volumes().items(), ids=lambda item: item[0], scope="module")
def answer(request: pytest.FixtureRequest) -> Answered:
    return answered(request.param[1])


def test_a_negative_study_has_no_segmentation() -> None:
    assert negative().results.seg is None


def test_dciodvfy_finds_no_error(answer: Answered, tmp_path: Path) -> None:
    assert answer.results.seg is not None
    assert dciodvfy_errors(written(answer.results.seg, tmp_path)) == []


def test_every_segment_is_its_lesion_frame_by_frame_on_the_source_planes(answer: Answered, tmp_path: Path) -> None:
    assert answer.results.seg is not None
    seg = hd.seg.segread(written(answer.results.seg, tmp_path))
    assert seg.SegmentationType == "BINARY"
    assert seg.number_of_segments == len(answer.finding.lesions) == 3
    by_segment = seg.get_pixels_by_source_instance(
        list(answer.volume.instance_uids), assert_missing_frames_are_empty=True, ignore_spatial_locations=True
    )
    for lesion in answer.finding.lesions:
        expected = answer.volume.turn.to_source(answer.finding.lesion_map == lesion.number)
        np.testing.assert_array_equal(by_segment[..., lesion.number - 1].astype(bool), expected)


def test_every_frame_lies_where_its_source_slice_lies_and_names_it(answer: Answered) -> None:
    seg = answer.results.seg
    assert seg is not None
    sources = {header.SOPInstanceUID: header for header in answer.volume.headers}
    named = []
    for frame in seg.PerFrameFunctionalGroupsSequence:
        (source,) = frame.DerivationImageSequence[0].SourceImageSequence
        header = sources[source.ReferencedSOPInstanceUID]
        position = frame.PlanePositionSequence[0].ImagePositionPatient
        np.testing.assert_allclose(position, np.array(header.ImagePositionPatient, float), atol=1e-5)
        named.append((frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber, header.SOPInstanceUID))
    uids = answer.volume.instance_uids
    touched = [(lesion.number, uids[z]) for lesion in answer.finding.lesions for z in lesion.slices]
    assert sorted(named) == sorted(touched)
    shared = seg.SharedFunctionalGroupsSequence[0]
    header = answer.volume.headers[0]
    np.testing.assert_allclose(
        shared.PlaneOrientationSequence[0].ImageOrientationPatient, np.array(header.ImageOrientationPatient, float)
    )
    np.testing.assert_allclose(shared.PixelMeasuresSequence[0].PixelSpacing, np.array(header.PixelSpacing, float))
    assert seg.FrameOfReferenceUID == header.FrameOfReferenceUID
    assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID == answer.volume.series_uid


def test_a_spacing_between_slices_is_given_only_where_there_is_one() -> None:
    spacings = {}
    for name, volume in volumes().items():
        seg = answered(volume).results.seg
        assert seg is not None
        measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        spacings[name] = measures.get("SpacingBetweenSlices")
    assert spacings["mixed spacing"] is None
    assert spacings["overlapping"] == 2.5
    assert spacings["even"] == spacings["tilted"] == 5


EVEN_UNTILTED = {
    "as the contract": made_volume(),
    "prone": made_volume(turn=Turn(flip_y=True, flip_x=True)),
    "turned": made_volume(turn=Turn(transpose=True, flip_y=True), matrix=(96, 80)),
    "not square": made_volume(matrix=(80, 112), spacing_mm=(2.6, 1.9)),
}


@pytest.mark.parametrize("volume", EVEN_UNTILTED.values(), ids=EVEN_UNTILTED.keys())
def test_dcmqi_gives_back_the_exact_mask_on_an_even_untilted_series(volume: Volume, tmp_path: Path) -> None:
    answer = answered(volume)
    assert answer.results.seg is not None
    segments = itk_segments(written(answer.results.seg, tmp_path), tmp_path)
    assert sorted(segments) == [1, 2, 3]
    positions = np.array([header.ImagePositionPatient for header in answer.volume.headers], float)
    for number, (voxels, origin, step) in segments.items():
        expected = answer.volume.turn.to_source(answer.finding.lesion_map == number)
        seen = np.zeros_like(expected)
        for k, plane in enumerate(voxels):
            (index,) = np.flatnonzero(np.abs(positions - (origin + k * step)).max(axis=1) < 1e-3)
            seen[index] = plane != 0
        np.testing.assert_array_equal(seen, expected)


def test_segments_say_what_they_are_and_who_found_them() -> None:
    answer = answered()
    assert answer.results.seg is not None
    segments = answer.results.seg.SegmentSequence
    assert [segment.SegmentLabel for segment in segments] == ["Lesion 1: IPH", "Lesion 2: EDH/SDH", "Lesion 3: SAH"]
    sites = [segment.AnatomicRegionSequence[0].CodeValue for segment in segments]
    assert sites == ["12738006", "1231004", "35951006"]
    for segment in segments:
        assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == "50960005"
        assert len(segment.RecommendedDisplayCIELabValue) == 3
        algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
        assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("hemorrhage_detector", "1")
        assert f"model_sha256={answer.reading.model.sha256}" in algorithm.AlgorithmParameters
        assert "threshold=0.5" in algorithm.AlgorithmParameters
