# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Outlines and axes on the source image, in the SR and before it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydicom import Dataset

from appliance.coverage.coverage import Coverage
from appliance.findings.abc2 import abc2_ml
from appliance.imaging.volume import Volume
from appliance.results.outline import MOST_POINTS, largest_piece, outline
from appliance.results.planar import head_frame, planar_region
from appliance.results.report import report
from tests.appliance.phantom import detection, made_volume, reading_of
from tests.appliance.results.answers import CREATED, Answered, answer_of, negative, volumes
from tests.appliance.results.compared import compared, scan

Mask = NDArray[np.bool_]


def mask_of(*rows: str) -> Mask:
    """A region drawn with "#"."""
    return np.array([[letter == "#" for letter in row] for row in rows])


def inside(points: NDArray[np.float64], shape: tuple[int, int]) -> Mask:
    """The pixels whose centres an outline of (row, column) encloses, by another program's even-odd rule."""
    fine = 8
    picture = Image.new("1", (shape[1] * fine, shape[0] * fine))
    ImageDraw.Draw(picture).polygon([(x * fine, y * fine) for y, x in points], fill=1, outline=0)
    return np.asarray(picture)[fine // 2 :: fine, fine // 2 :: fine]


def enclosed(points: NDArray[np.float64]) -> float:
    """The area of a closed line, in pixels."""
    y, x = points[:-1].T
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


def groups(sr: Dataset, template: str) -> list[Dataset]:
    measurements = next(one for one in sr.ContentSequence if one.ConceptNameCodeSequence[0].CodeValue == "126010")
    return [
        one for one in measurements.ContentSequence if one.ContentTemplateSequence[0].TemplateIdentifier == template
    ]


def lines(item: Dataset) -> Iterator[Dataset]:
    for child in item.get("ContentSequence", []):
        if child.ValueType == "SCOORD":
            yield child
        yield from lines(child)


def points_of(line: Dataset) -> NDArray[np.float64]:
    """The (row, column) of a SCOORD."""
    return np.array(line.GraphicData, np.float64).reshape(-1, 2)[:, ::-1]


def image_of(line: Dataset) -> str:
    return str(line.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID)


def number(group: Dataset, code: str) -> Dataset:
    (found,) = [one for one in group.ContentSequence if one.ConceptNameCodeSequence[0].CodeValue == code]
    return found


def value(item: Dataset) -> float:
    return float(item.MeasuredValueSequence[0].NumericValue)


@pytest.mark.parametrize("name", volumes())
def test_the_outline_in_the_report_encloses_the_lesion_on_the_stored_image_that_it_names(name: str) -> None:
    answer = answer_of(volumes()[name])
    found = groups(answer.results.sr, "1410")
    assert len(found) == len(answer.finding.lesions) > 0
    for group, lesion in zip(found, answer.finding.lesions, strict=True):
        (line,) = [one for one in group.ContentSequence if one.ValueType == "SCOORD"]
        index = answer.volume.instance_uids.index(image_of(line))
        assert index == lesion.slices[int(np.argmax(lesion.voxels))]
        stored = answer.volume.turn.to_source(answer.finding.lesion_map[index] == lesion.number)
        assert stored.shape == answer.volume.stored_matrix
        piece, _ = largest_piece(stored)
        assert np.array_equal(inside(points_of(line), answer.volume.stored_matrix) & stored, piece)
        assert value(number(group, "42798000")) == pytest.approx(
            np.count_nonzero(piece) * np.prod(answer.volume.stored_spacing_mm), rel=1e-5
        )


@pytest.mark.parametrize("name", volumes())
def test_the_axes_in_the_report_are_as_long_as_they_say_and_perpendicular(name: str) -> None:
    answer = answer_of(volumes()[name])
    spacing = np.asarray(answer.volume.stored_spacing_mm)
    for group in groups(answer.results.sr, "1410"):
        ends = []
        for code in ("103339001", "103340004"):
            axis = number(group, code)
            (line,) = [one for one in axis.ContentSequence if one.ValueType == "SCOORD"]
            assert line.RelationshipType == "INFERRED FROM"
            start, end = points_of(line) * spacing
            assert math.dist(start, end) == pytest.approx(value(axis), rel=1e-4)
            ends.append(end - start)
        long, short = ends
        assert np.linalg.norm(long) >= np.linalg.norm(short)
        assert abs(long @ short) < 1e-3 * np.linalg.norm(long) * np.linalg.norm(short)


def test_the_axes_of_a_lesion_in_one_piece_are_those_of_abc2() -> None:
    volume = made_volume(spacing_mm=(0.9, 1.3))
    answer = answer_of(volume)
    lesion = next(one for one in answer.finding.lesions if one.abc2_ml is not None)
    region = planar_region(volume, answer.finding, lesion)
    assert region.pieces == 1
    one_slice = (answer.finding.lesion_map == lesion.number)[region.slice_index][None]
    c = np.array([4.0])
    assert abc2_ml(one_slice, volume.pixel_spacing_mm, c) == pytest.approx(
        region.diameters.long_mm * region.diameters.short_mm * 4.0 / 2 / 1000
    )


def test_both_groups_of_a_lesion_and_its_segment_have_one_tracking_uid() -> None:
    answer = answer_of()
    assert answer.results.seg is not None
    in_seg = [segment.TrackingUID for segment in answer.results.seg.SegmentSequence]
    for template in ("1411", "1410"):
        assert [number(group, "112040").UID for group in groups(answer.results.sr, template)] == in_seg


COMPARED = compared(scan(iph=10.0), scan(iph=20.0))
ANSWERS = {"positive": answer_of(), "negative": negative(), "compared": answer_of(compared=COMPARED)}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_every_tracked_thing_has_coordinates_on_an_image_of_the_evidence(answer: Answered) -> None:
    """OHIF merges groups by their tracking UID, stops at the first without coordinates, and shows black."""
    tracked: dict[str, list[Dataset]] = {}
    for template in ("1501", "1411", "1410"):
        for group in groups(answer.results.sr, template):
            of_group = [one for one in group.ContentSequence if one.ValueType == "SCOORD"]
            tracked.setdefault(number(group, "112040").UID, []).extend(of_group)
    assert len(tracked) == 1 + len(answer.finding.lesions) + (2 if answer is ANSWERS["compared"] else 0)
    for of_one in tracked.values():
        assert of_one
        for line in of_one:
            assert image_of(line) in answer.volume.instance_uids


def test_the_rest_of_many_lesions_points_at_the_largest_of_them() -> None:
    boxes = [(40 + 100 * (k // 5), 20 + 100 * (k % 5)) for k in range(22)]
    spots = [detection(3, (y, x, y + 12 + k, x + 16), score=0.6) for k, (y, x) in enumerate(boxes)]
    answer = answer_of(made_volume(matrix=(128, 128), spacing_mm=(3.0, 3.0)), reading_of(*spots))
    rest = groups(answer.results.sr, "1501")[-1]
    (line,) = [one for one in rest.ContentSequence if one.ValueType == "SCOORD"]
    region = planar_region(answer.volume, answer.finding, answer.finding.lesions[20])
    assert np.allclose(points_of(line), region.outline)


def frame_of_study(answer: Answered) -> tuple[int, NDArray[np.float64]]:
    """The slice that the study's group refers to, and the line on it."""
    (line,) = [one for one in groups(answer.results.sr, "1501")[0].ContentSequence if one.ValueType == "SCOORD"]
    return answer.volume.instance_uids.index(image_of(line)), points_of(line)


@pytest.mark.parametrize("name", volumes())
def test_the_group_of_a_study_frames_the_head_on_the_key_slice_of_its_surest_lesion(name: str) -> None:
    answer = answer_of(volumes()[name])
    surest = max(answer.finding.lesions, key=lambda lesion: lesion.confidence)
    index, line = frame_of_study(answer)
    assert index == surest.slices[int(np.argmax(surest.voxels))]
    head = answer.volume.turn.to_source(answer.volume.hu[index] > -200)
    framed = inside(line, answer.volume.stored_matrix)
    assert (framed | ~head).all()
    edges = head[framed.any(axis=1)][:, framed.any(axis=0)]
    assert all(edge.any() for edge in (edges[0], edges[-1], edges[:, 0], edges[:, -1]))


def test_a_negative_report_frames_the_head_on_the_slice_that_came_closest() -> None:
    answer = negative()
    assert len(list(lines(answer.results.sr))) == 1
    closest = max(answer.reading.dismissed, key=lambda one: max(one.scores))
    assert frame_of_study(answer)[0] == closest.slice_index
    nothing_at_all = answer_of(reading=reading_of())
    assert frame_of_study(nothing_at_all)[0] == nothing_at_all.volume.slices // 2


def test_a_slice_of_air_is_framed_as_a_whole() -> None:
    volume = made_volume()
    air = replace(volume, hu=np.full_like(volume.hu, -1000))
    assert np.ptp(head_frame(air, 3), axis=0).tolist() == list(air.stored_matrix)


def test_a_lesion_in_pieces_is_outlined_and_measured_at_its_largest_one() -> None:
    volume: Volume = made_volume(spacing_mm=(1.0, 1.0))
    spots = [detection(3, (200, 200, 240, 240)), detection(3, (200, 245, 215, 260))]
    answer = answer_of(volume, reading_of(*spots))
    (lesion,) = answer.finding.lesions
    region = planar_region(volume, answer.finding, lesion)
    assert region.pieces == 2
    assert region.area_mm2 < max(lesion.voxels)
    (group,) = groups(answer.results.sr, "1410")
    assert "the largest of its 2 pieces on this slice" in number(group, "121106").TextValue


def test_no_line_leaves_the_image_and_a_length_at_its_edge_is_as_measured() -> None:
    """An oblique ellipse that the image's edge cuts: the short axis of its pixels ends outside."""
    volume = made_volume(matrix=(96, 96))
    answer = answer_of(volume)
    y, x = np.mgrid[:96, :96]
    outside = 0
    for angle in np.linspace(0.1, 3.0, 30):
        u, v = (x - 1) * np.cos(angle) + (y - 50) * np.sin(angle), (y - 50) * np.cos(angle) - (x - 1) * np.sin(angle)
        blood = (u / 16) ** 2 + (v / 6) ** 2 <= 1
        lesion_map = np.zeros_like(answer.finding.lesion_map)
        lesion_map[6][blood] = 1
        lesion = replace(answer.finding.lesions[0], slices=(6,), voxels=(int(np.count_nonzero(blood)),))
        finding = replace(answer.finding, lesions=(lesion,), lesion_map=lesion_map)
        measured = planar_region(volume, finding, lesion).diameters
        ends = np.vstack([measured.long_ends, measured.short_ends])
        outside += bool((ends < -1e-6).any())
        made = report(
            volume,
            answer.reading,
            finding,
            covered=Coverage(12, 12, 60.0),
            settings=answer.settings,
            created=CREATED,
        ).sr
        (group,) = groups(made, "1410")
        assert value(number(group, "103340004")) == pytest.approx(measured.short_mm, rel=1e-5)
        for line in lines(made):
            assert points_of(line).min() >= 0
            assert (points_of(line).max(axis=0) <= volume.stored_matrix).all()
    assert outside, "none of these ends outside, so that nothing is proven"


SHAPES = {
    "one pixel": mask_of("#"),
    "a row": mask_of("....", ".###", "...."),
    "touching at corners": mask_of("#..#", ".##.", "#..#"),
    "a stair": mask_of("#...", ".#..", "..#.", "...#"),
    "at all edges": mask_of("####", "####"),
    "an L": mask_of("#..", "#..", "###"),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_an_outline_encloses_exactly_the_piece(shape: str) -> None:
    piece, pieces = largest_piece(SHAPES[shape])
    assert pieces == 1
    line = outline(piece)
    assert np.array_equal(line[0], line[-1])
    assert np.array_equal(inside(line, piece.shape), piece)
    assert enclosed(line) == np.count_nonzero(piece)


def test_an_outline_runs_around_holes() -> None:
    ring = mask_of("#####", "#...#", "#.#.#", "#...#", "#####")
    piece, pieces = largest_piece(ring)
    assert pieces == 2
    assert outline(piece).tolist() == [[0, 0], [0, 5], [5, 5], [5, 0], [0, 0]]
    corner_hole = mask_of("##..", "#.#.", ".##.")
    assert enclosed(outline(corner_hole)) == np.count_nonzero(corner_hole) + 1


def test_outlines_of_random_regions_enclose_them() -> None:
    random = np.random.default_rng(5)
    for _ in range(200):
        piece, _ = largest_piece(random.random((9, 11)) < 0.5)
        line = outline(piece)
        assert (np.count_nonzero(np.diff(line, axis=0), axis=1) == 1).all(), "a step is not along an edge"
        assert np.array_equal(inside(line, piece.shape) & piece, piece)


def test_an_outline_has_no_more_points_than_an_object_holds() -> None:
    comb = np.zeros((2100, 4000), np.bool_)
    comb[0] = True
    comb[:4, ::2] = True
    line = outline(comb)
    assert 1000 < len(line) <= MOST_POINTS
    assert np.array_equal(line[0], line[-1])
