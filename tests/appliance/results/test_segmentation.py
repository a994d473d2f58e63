# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The segmentation, read back by highdicom and dcmqi."""

from __future__ import annotations

from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom import Dataset

from appliance.imaging.volume import Turn, Volume
from tests.appliance.phantom import made_volume
from tests.appliance.results.answers import MIXED_MM, Answered, answer_of, negative, volumes
from tests.appliance.results.validators import dciodvfy_errors, itk_segments, write_dicom


@pytest.fixture(params=volumes().items(), ids=lambda item: item[0], scope="module")
def answer(request: pytest.FixtureRequest) -> Answered:
    return answer_of(request.param[1])


def test_a_negative_study_has_no_segmentation() -> None:
    assert negative().results.seg is None


def test_dciodvfy_finds_no_error(answer: Answered, tmp_path: Path) -> None:
    assert answer.results.seg is not None
    assert dciodvfy_errors(write_dicom(answer.results.seg, tmp_path)) == []


def test_every_segment_is_its_lesion_frame_by_frame_on_the_source_planes(answer: Answered, tmp_path: Path) -> None:
    assert answer.results.seg is not None
    seg = hd.seg.segread(write_dicom(answer.results.seg, tmp_path))
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


SPELLINGS = {
    "noise for zero": ["1", "-1.2e-16", "0", "0", "1", "1.2e-16"],
    "negative zeros": ["1", "-0.0", "-0", "-0.000000", "1", "0"],
    "three decimals": ["1.000", "0.000", "0.000", "0.000", "1.000", "0.000"],
    "not quite a unit": ["0.999", "0.002", "0", "0", "1.001", "0"],
    "not quite a right angle": ["1", "0.003", "0", "0.003", "1", "0"],
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS.keys())
@pytest.mark.parametrize("which", [slice(5, 6), slice(0, 1), slice(0, None), slice(0, None, 2)])
def test_orientations_that_stacking_tolerates_make_a_segmentation(
    spelling: list[str], which: slice, tmp_path: Path
) -> None:
    volume = made_volume()
    for header in volume.headers[which]:
        header.ImageOrientationPatient = spelling
    answer = answer_of(volume)
    assert answer.results.unmade == {}
    assert answer.results.seg is not None
    path = write_dicom(answer.results.seg, tmp_path)
    assert dciodvfy_errors(path) == []
    directions = hd.seg.segread(path).SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    np.testing.assert_allclose(directions.ImageOrientationPatient, [1, 0, 0, 0, 1, 0], atol=4e-3)


def test_a_head_of_several_parts_is_one_segmentation_that_names_the_series_of_each(tmp_path: Path) -> None:
    volume = made_volume()
    for header in volume.headers[6:]:
        header.SeriesInstanceUID += ".7"
        header.FrameOfReferenceUID += ".7"
        header.PixelSpacing = ["2.4000001", "2.40"]
    del volume.headers[0].FrameOfReferenceUID
    answer = answer_of(volume)
    assert answer.results.unmade == {}
    assert answer.results.seg is not None
    assert dciodvfy_errors(write_dicom(answer.results.seg, tmp_path)) == []
    series_of = {header.SOPInstanceUID: header.SeriesInstanceUID for header in volume.headers}
    named = {
        instance.ReferencedSOPInstanceUID: series.SeriesInstanceUID
        for series in answer.results.seg.ReferencedSeriesSequence
        for instance in series.ReferencedInstanceSequence
    }
    assert len(set(named.values())) == 2
    assert named.items() <= series_of.items()
    (study,) = answer.results.sr.CurrentRequestedProcedureEvidenceSequence
    evidence = {
        instance.ReferencedSOPInstanceUID: series.SeriesInstanceUID
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }
    assert series_of.items() <= evidence.items()


def thicknesses_of_frames(seg: Dataset) -> dict[str, float]:
    """Return the Slice Thickness that a reader takes for each source slice."""
    found = {}
    for frame in seg.PerFrameFunctionalGroupsSequence:
        measures = frame.get("PixelMeasuresSequence") or seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
        (source,) = frame.DerivationImageSequence[0].SourceImageSequence
        found[source.ReferencedSOPInstanceUID] = float(measures[0].SliceThickness)
    return found


def test_every_frame_is_as_thick_as_its_slice(tmp_path: Path) -> None:
    volume = made_volume(positions_mm=MIXED_MM)
    for z, header in enumerate(volume.headers):
        header.SliceThickness = "2.5" if z < 6 else "5"
    answer = answer_of(volume)
    assert answer.results.seg is not None
    path = write_dicom(answer.results.seg, tmp_path)
    assert dciodvfy_errors(path) == []
    seg = hd.seg.segread(path)
    found = thicknesses_of_frames(seg)
    assert set(found.values()) == {2.5, 5}
    assert found.items() <= {header.SOPInstanceUID: float(header.SliceThickness) for header in volume.headers}.items()
    # One or the other, never both (PS3.3 C.7.6.16.2.1).
    assert "PixelMeasuresSequence" not in seg.SharedFunctionalGroupsSequence[0]
    by_segment = seg.get_pixels_by_source_instance(
        list(volume.instance_uids), assert_missing_frames_are_empty=True, ignore_spatial_locations=True
    )
    np.testing.assert_array_equal(by_segment[..., 0] != 0, answer.finding.lesion_map == 1)


def test_frames_of_one_thickness_share_it() -> None:
    seg = answer_of().results.seg
    assert seg is not None
    assert seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SliceThickness == 5
    assert not [frame for frame in seg.PerFrameFunctionalGroupsSequence if "PixelMeasuresSequence" in frame]


def test_a_spacing_between_slices_is_given_only_where_there_is_one() -> None:
    spacings = {}
    for name, volume in volumes().items():
        seg = answer_of(volume).results.seg
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
    answer = answer_of(volume)
    assert answer.results.seg is not None
    segments = itk_segments(write_dicom(answer.results.seg, tmp_path), tmp_path)
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
    answer = answer_of()
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
