# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Key images: which slices, what is drawn on them, and the selection that names them."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from appliance.errors import DrawingError
from appliance.findings.find import find
from appliance.imaging.flaws import Flaw, FlawCode
from appliance.imaging.volume import Turn
from appliance.reading.contract import HemorrhageType
from appliance.reading.detections import Box, DismissedProposal
from appliance.reading.lesions import Criteria
from appliance.results import key_images
from appliance.results.colours import COLOURS, DISMISSED
from appliance.results.drawing import STRIP, Mark, draw_slice
from appliance.results.key_slices import key_slices
from appliance.sections.answers import ResultsSettings
from appliance.settings import Settings
from tests.appliance.phantom import detection, made_volume, reading_of
from tests.appliance.results.answers import Answered, answer_of, negative
from tests.appliance.results.validators import dciodvfy_errors, dsrdump_text, write_dicom

NO_YES = (False, True)
IPH, EDH_SDH, SAH = HemorrhageType.IPH, HemorrhageType.EDH_SDH, HemorrhageType.SAH


def pixels(capture: Dataset) -> NDArray[np.uint8]:
    array: NDArray[np.uint8] = capture.pixel_array
    return array


def image_part(capture: Dataset) -> NDArray[np.uint8]:
    """The picture without the strips of words."""
    return pixels(capture)[STRIP : -2 * STRIP]


def has(picture: NDArray[np.uint8], colour: tuple[int, int, int]) -> bool:
    return bool((picture == colour).all(axis=-1).any())


def captures(answer: Answered) -> list[Dataset]:
    return [one.capture for one in answer.results.key_images]


def slices_shown(answer: Answered) -> list[int]:
    """The Z indices that the key images show."""
    uids = answer.volume.instance_uids
    return [uids.index(capture.SourceImageSequence[0].ReferencedSOPInstanceUID) for capture in captures(answer)]


@pytest.mark.parametrize("answer", [answer_of(), negative()], ids=["positive", "negative"])
def test_dciodvfy_finds_no_error_in_key_images_and_selection(answer: Answered, tmp_path: Path) -> None:
    assert captures(answer)
    assert answer.results.key_object_selection is not None
    for dataset in (*captures(answer), answer.results.key_object_selection):
        assert dciodvfy_errors(write_dicom(dataset, tmp_path)) == []


@pytest.mark.parametrize(("answer", "title"), [(answer_of(), "113000"), (negative(), "113013")])
def test_the_selection_names_every_key_image_and_nothing_else(answer: Answered, title: str, tmp_path: Path) -> None:
    selection = answer.results.key_object_selection
    assert selection is not None
    assert selection.ConceptNameCodeSequence[0].CodeValue == title
    wanted = [capture.SOPInstanceUID for capture in captures(answer)]
    named = [
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for item in selection.ContentSequence
        if item.ValueType == "IMAGE"
    ]
    (study,) = selection.CurrentRequestedProcedureEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    evidence = [one.ReferencedSOPInstanceUID for one in series.ReferencedSOPSequence]
    assert named == evidence == wanted
    text = dsrdump_text(write_dicom(selection, tmp_path))
    assert not [line for line in text.splitlines() if line.startswith(("E:", "F:"))]


def test_the_selection_of_a_negative_says_of_which_set_its_images_are_the_best() -> None:
    titles = {}
    for name, answer in (("positive", answer_of()), ("negative", negative())):
        selection = answer.results.key_object_selection
        assert selection is not None
        modifiers = [
            item.ConceptCodeSequence[0]
            for item in selection.ContentSequence
            if item.ConceptNameCodeSequence[0].CodeValue == "113011" and item.RelationshipType == "HAS CONCEPT MOD"
        ]
        titles[name] = (selection.ConceptNameCodeSequence[0].CodeMeaning, [one.CodeMeaning for one in modifiers])
        assert {(one.CodeValue, one.CodingSchemeDesignator) for one in modifiers} <= {("113015", "DCM")}
    assert titles == {"positive": ("Of Interest", []), "negative": ("Best In Set", ["Series"])}


def test_key_images_are_compressed_without_loss_as_others_read_them(tmp_path: Path) -> None:
    for image in answer_of().results.key_images:
        capture = image.capture
        assert capture.file_meta.TransferSyntaxUID == RLELossless
        np.testing.assert_array_equal(pixels(capture), image.picture)
        assert len(capture.PixelData) < 0.6 * image.picture.nbytes
        assert capture.SOPInstanceUID == image.undrawn.SOPInstanceUID
        plain = tmp_path / "plain.dcm"
        subprocess.run(["dcmdrle", str(write_dicom(capture, tmp_path)), str(plain)], check=True)
        np.testing.assert_array_equal(pixels(dcmread(plain)), image.picture)


def test_a_site_can_have_its_key_images_uncompressed(tmp_path: Path) -> None:
    settings = Settings(results=ResultsSettings(compress_key_images=False))
    for image in answer_of(settings=settings).results.key_images:
        assert image.capture.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        np.testing.assert_array_equal(pixels(image.capture), image.picture)
        assert dciodvfy_errors(write_dicom(image.capture, tmp_path)) == []


def test_each_lesion_is_shown_on_the_slice_with_most_of_it() -> None:
    answer = answer_of()
    for lesion in answer.finding.lesions:
        areas = (answer.finding.lesion_map == lesion.number).sum(axis=(1, 2))
        assert int(np.argmax(areas)) in slices_shown(answer)
    assert slices_shown(answer) == sorted(slices_shown(answer))


def test_the_largest_lesions_come_first_when_the_site_wants_few_images() -> None:
    answer = answer_of(settings=Settings(results=ResultsSettings(key_images=1)))
    areas = (answer.finding.lesion_map == 1).sum(axis=(1, 2))
    assert slices_shown(answer) == [int(np.argmax(areas))]


def test_a_site_that_wants_no_key_images_gets_none_and_no_selection() -> None:
    results = answer_of(settings=Settings(results=ResultsSettings(key_images=0))).results
    assert results.key_images == ()
    assert results.key_object_selection is None


def test_a_negative_study_shows_what_came_closest() -> None:
    volume = made_volume()
    close = [detection(z, (100, 100, 140, 140), score=score) for z, score in ((2, 0.4), (5, 0.2), (7, 0.3), (9, 0.1))]
    finding = find(reading_of(*close), volume, Criteria(0.5, 0.5, 10))
    assert key_slices(volume, reading_of(*close), finding, 6) == [2, 5, 7]


def test_a_negative_study_without_any_proposal_shows_its_middle_slice() -> None:
    answer = answer_of(reading=reading_of())
    assert slices_shown(answer) == [answer.volume.slices // 2]


def test_findings_have_the_colour_of_their_type_and_dismissed_proposals_another() -> None:
    answer = answer_of()
    pictures = dict(zip(slices_shown(answer), (image_part(one) for one in captures(answer)), strict=True))
    for z, picture in pictures.items():
        on_slice = {lesion.type for lesion in answer.finding.lesions if z in lesion.slices}
        assert {type_ for type_, colour in COLOURS.items() if has(picture, colour)} == on_slice
    middle = answer.volume.slices // 2
    assert has(pictures[middle], DISMISSED)
    assert not has(pictures[2], DISMISSED)


def test_a_detection_below_the_threshold_is_drawn_as_dismissed() -> None:
    answer = answer_of(reading=reading_of(detection(5, (200, 200, 260, 260), score=0.4)))
    (capture,) = captures(answer)
    assert has(image_part(capture), DISMISSED)
    assert not any(has(image_part(capture), colour) for colour in COLOURS.values())


def test_a_detection_that_extends_a_lesion_is_drawn_as_part_of_it_and_one_that_does_not_as_dismissed() -> None:
    sure, extending = detection(5, (200, 100, 260, 160), SAH), detection(5, (200, 170, 260, 230), SAH, 0.7)
    elsewhere = detection(5, (200, 400, 260, 460), SAH, 0.7)
    one_lesion, two_places = (
        image_part(captures(answer_of(reading=reading_of(*found), threshold=0.8))[0])
        for found in ((sure, extending), (sure, elsewhere))
    )
    assert not has(one_lesion, DISMISSED)
    assert has(one_lesion[:, 640 * 180 // 512 : 640 * 220 // 512], COLOURS[SAH])
    assert has(two_places, DISMISSED)
    assert not has(two_places[:, 320:], COLOURS[SAH])


def test_a_detection_that_extends_a_lesion_under_the_box_of_another_has_no_box_of_its_own() -> None:
    sure, under = detection(5, (200, 200, 300, 300), SAH), detection(5, (220, 220, 280, 280), SAH, 0.7)
    pictures = [
        captures(answer_of(reading=reading_of(*found), threshold=0.8))[0].PixelData
        for found in ((sure, under), (sure,))
    ]
    assert pictures[0] == pictures[1]


def test_proposals_that_a_detection_covers_are_not_drawn() -> None:
    covered = DismissedProposal(5, Box(210, 210, 250, 250), (0.04, 0.0, 0.0))
    answer = answer_of(reading=reading_of(detection(5, (200, 200, 260, 260)), dismissed=(covered,)))
    assert not has(image_part(captures(answer)[0]), DISMISSED)


def test_lines_leave_the_voxels_of_a_lesion_and_of_the_box_free() -> None:
    answer = answer_of(made_volume(matrix=(640, 640), spacing_mm=(0.36, 0.36)))
    z = slices_shown(answer)[0]
    picture = image_part(captures(answer)[0])
    inside = answer.finding.lesion_map[z] > 0
    assert inside.any()
    values = picture[inside].astype(int)
    assert (np.ptp(values, axis=1) == 0).all()


def test_the_patients_left_is_on_the_images_right_and_the_back_is_down() -> None:
    hu = np.full((64, 64), -1000, np.int16)
    hu[40:60, 44:60] = 80
    picture = draw_slice(hu, (3, 3), [], [], [], ("", ""))[STRIP : -2 * STRIP]
    rows, columns = np.nonzero((picture > 250).all(axis=-1))
    assert (rows.mean(), columns.mean()) == pytest.approx((500, 520), abs=2)


@pytest.mark.parametrize(
    ("matrix", "spacing", "size"),
    [
        ((64, 64), (3.0, 3.0), (640, 640)),
        ((512, 512), (0.45, 0.45), (640, 640)),
        ((768, 768), (0.3, 0.3), (768, 768)),
        ((64, 64), (3.0, 1.5), (640, 320)),
        ((60, 120), (2.0, 2.0), (320, 640)),
    ],
)
def test_images_keep_the_patients_proportions_at_512_pixels_or_more(
    matrix: tuple[int, int], spacing: tuple[float, float], size: tuple[int, int]
) -> None:
    picture = draw_slice(np.zeros(matrix, np.int16), spacing, [], [], [], ("", ""))
    assert picture.shape == (size[0] + 3 * STRIP, size[1], 3)


@pytest.mark.parametrize(
    ("matrix", "top", "left"), [((512, 512), 0, 0), ((512, 400), 0, 56), ((400, 512), 56, 0)], ids=str
)
def test_a_box_lies_about_what_it_frames_on_a_field_that_is_not_square(
    matrix: tuple[int, int], top: int, left: int
) -> None:
    mark = Mark(Box(200, 240, 260, 280), "", IPH)
    picture = draw_slice(np.zeros(matrix, np.int16), (0.45, 0.45), [], [mark], [], ("", ""))[STRIP : -2 * STRIP]
    rows, columns = np.nonzero((picture == COLOURS[IPH]).all(axis=-1))
    scale = 640 / 512
    assert (rows.min(), rows.max()) == pytest.approx(((200 - top) * scale - 4, (260 - top) * scale + 4), abs=1)
    assert (columns.min(), columns.max()) == pytest.approx(((240 - left) * scale - 4, (280 - left) * scale + 4), abs=1)


def test_the_blood_window_runs_from_0_to_80_hu() -> None:
    greys = [
        int(draw_slice(np.full((8, 8), hu, np.int16), (1, 1), [], [], [], ("", ""))[STRIP + 100, 300, 0])
        for hu in (-1000, 0, 40, 80, 1500)
    ]
    assert greys == [0, 0, 127, 255, 255]


def test_no_identity_is_in_the_pixels() -> None:
    volume = made_volume()
    one = captures(answer_of(volume))
    for header in volume.headers:
        header.PatientName, header.PatientID, header.AccessionNumber = "Someone^Else", "ANOTHER-2", "OTHER-9"
        header.PatientBirthDate, header.StudyDate = "19000101", "20000101"
    other = captures(answer_of(replace(volume)))
    assert [capture.PixelData for capture in one] == [capture.PixelData for capture in other]
    for capture in other:
        assert capture.BurnedInAnnotation == "NO"
        assert capture.Modality == "OT"
        assert capture.ImageType == ["DERIVED", "SECONDARY"]


@pytest.mark.parametrize("seen", [True, False])
@pytest.mark.parametrize("declared", ["YES", "NO", ""])
def test_text_that_was_seen_or_declared_in_the_source_is_said_to_be_in_the_key_images(
    seen: bool, declared: str
) -> None:
    volume = made_volume()
    for header in volume.headers:
        header.BurnedInAnnotation = declared
    flaws = [Flaw(FlawCode.BURNED_IN, "text or marks seem to be drawn into 1 of 12 slices")] if seen else []
    told = {capture.BurnedInAnnotation for capture in captures(answer_of(volume, flaws=flaws))}
    assert told == {"YES" if seen or declared == "YES" else "NO"}


def test_pictures_are_the_same_whichever_way_planes_are_stored() -> None:
    turns = [Turn(transpose, flip_y, flip_x) for transpose in NO_YES for flip_y in NO_YES for flip_x in NO_YES]
    pictures = {tuple(capture.PixelData for capture in captures(answer_of(made_volume(turn=turn)))) for turn in turns}
    assert len(pictures) == 1


def test_an_image_that_cannot_be_drawn_says_which_and_quotes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("Doe^Jane")

    monkeypatch.setattr(key_images, "draw_slice", fail)
    with pytest.raises(DrawingError, match=r"^key image 1 could not be drawn \(ValueError\)$"):
        captures(answer_of())


def test_png_files_hold_the_same_pixels() -> None:
    answer = answer_of()
    pngs = answer.results.key_image_pngs()
    assert [name for name, _ in pngs] == [f"key-image-{number}" for number in range(1, 7)]
    for capture, (_, data) in zip(captures(answer), pngs, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(data))), pixels(capture))


def test_a_sure_reading_of_every_type_fits_one_slice() -> None:
    boxes = [(100, 60, 180, 140), (100, 200, 180, 280), (100, 340, 180, 420), (300, 60, 380, 140), (300, 200, 380, 280)]
    types = [IPH, EDH_SDH, SAH, IPH, SAH]
    reading = reading_of(*(detection(5, box, type_) for box, type_ in zip(boxes, types, strict=True)))
    (capture,) = captures(answer_of(made_volume(matrix=(128, 128), spacing_mm=(3, 3)), reading))
    assert all(has(image_part(capture), COLOURS[type_]) for type_ in types)
