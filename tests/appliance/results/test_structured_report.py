# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The structured report, read back by highdicom, dciodvfy, DCMTK and dcmqi."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import highdicom as hd
import numpy as np
import pytest
from pydicom import Dataset
from pydicom.sr._concepts_dict import concepts
from pydicom.sr.coding import Code
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage

from appliance.coverage.coverage import Coverage
from appliance.imaging.flaws import Flaw, FlawCode
from appliance.reading.contract import HemorrhageType
from appliance.results.identity import series_uid_of
from appliance.sections.answers import ResultsSettings
from appliance.settings import Settings
from tests.appliance.phantom import detection, made_volume, reading_of
from tests.appliance.results.answers import Answered, answer_of, negative
from tests.appliance.results.validators import dciodvfy_errors, dsrdump_text, tid1500, write_dicom

SrClass = Literal["comprehensive-3d", "comprehensive"]


def settings_for(sr_class: SrClass) -> Settings:
    return Settings(results=ResultsSettings(sr_sop_class=sr_class))


def many_lesions() -> Answered:
    """Twenty-four small SAH, each far from the others."""
    boxes = [(40 + 100 * (k // 5), 20 + 100 * (k % 5)) for k in range(24)]
    volume = made_volume(matrix=(128, 128), spacing_mm=(3.0, 3.0))
    spots = [
        detection(3, (y, x, y + 12 + index, x + 16), HemorrhageType.SAH, 0.6 + index / 100)
        for index, (y, x) in enumerate(boxes)
    ]
    return answer_of(volume, reading_of(*spots))


ANSWERS = {
    "positive": answer_of(),
    "negative": negative(),
    "positive, comprehensive": answer_of(settings=settings_for("comprehensive")),
    "negative, comprehensive": negative(settings=settings_for("comprehensive")),
    "superseding": answer_of(supersedes=(Comprehensive3DSRStorage, "2.25.1234567")),
    "many lesions": many_lesions(),
}


@pytest.fixture(params=ANSWERS.items(), ids=lambda item: item[0])
def answer(request: pytest.FixtureRequest) -> Answered:
    found: Answered = request.param[1]
    return found


def items(item: Dataset) -> Iterator[Dataset]:
    """Every content item under one."""
    for child in item.get("ContentSequence", []):
        yield child
        yield from items(child)


def children(item: Dataset, code: str) -> list[Dataset]:
    """The children of an item with a concept name."""
    return [child for child in item.ContentSequence if child.ConceptNameCodeSequence[0].CodeValue == code]


def groups(sr: Dataset) -> list[Dataset]:
    """The measurement groups about the study and in 3-D; `planar` has those about one slice."""
    return [group for group in all_groups(sr) if group.ContentTemplateSequence[0].TemplateIdentifier != "1410"]


def planar(sr: Dataset) -> list[Dataset]:
    return [group for group in all_groups(sr) if group.ContentTemplateSequence[0].TemplateIdentifier == "1410"]


def all_groups(sr: Dataset) -> list[Dataset]:
    (measurements,) = children(sr, "126010")
    return list(measurements.ContentSequence)


def test_dciodvfy_finds_no_error(answer: Answered, tmp_path: Path) -> None:
    assert dciodvfy_errors(write_dicom(answer.results.sr, tmp_path)) == []


def test_dsrdump_prints_the_whole_document_without_complaint(answer: Answered, tmp_path: Path) -> None:
    text = dsrdump_text(write_dicom(answer.results.sr, tmp_path))
    assert not [line for line in text.splitlines() if line.startswith(("E:", "F:"))]
    assert text.count("contains NUM:") == sum(item.ValueType == "NUM" for item in items(answer.results.sr))
    assert "Research use only, trained on simulated scans" in text


def test_tid1500reader_reads_the_volumes_and_the_segments_they_belong_to(answer: Answered, tmp_path: Path) -> None:
    read = tid1500(write_dicom(answer.results.sr, tmp_path), tmp_path)
    volumes = {
        group["ReferencedSegment"]: float(item["value"])
        for group in read["Measurements"]
        if "ReferencedSegment" in group
        for item in group["measurementItems"]
        if item["quantity"]["CodeValue"] == "118565006"
    }
    lesions = answer.finding.lesions[:20]
    assert volumes == pytest.approx({lesion.number: lesion.volume_ml for lesion in lesions}, rel=1e-5)
    assert read["procedureReported"]["CodeValue"] == "30799-1"


def test_highdicom_reads_it_as_a_measurement_report(answer: Answered, tmp_path: Path) -> None:
    document = hd.sr.srread(write_dicom(answer.results.sr, tmp_path))
    content = document.content
    assert isinstance(content, hd.sr.MeasurementReport)
    lesions = answer.finding.lesions[:20]
    volumetric = content.get_volumetric_roi_measurement_groups()
    assert [str(group.tracking_identifier) for group in volumetric] == [
        f"Lesion {lesion.number}: {lesion.type.display}" for lesion in lesions
    ]
    for group, lesion in zip(volumetric, lesions, strict=True):
        (volume,) = group.get_measurements(name=Code("118565006", "SCT", "Volume"))
        assert volume.value == pytest.approx(lesion.volume_ml, rel=1e-5)
    assert len(content.get_image_measurement_groups()) == 1 + (len(answer.finding.lesions) > 20)
    by_lesion = {str(group.tracking_uid): group for group in content.get_planar_roi_measurement_groups()}
    assert list(by_lesion) == [str(group.tracking_uid) for group in volumetric]
    for group, lesion in zip(by_lesion.values(), lesions, strict=True):
        (area,) = group.get_measurements(name=Code("42798000", "SCT", "Area"))
        assert 0 < area.value <= max(lesion.voxels) * np.prod(answer.volume.pixel_spacing_mm) * 1.0001
        region = group.roi
        assert isinstance(region, hd.sr.ImageRegion)
        assert region.graphic_type is hd.sr.GraphicTypeValues.POLYLINE
        assert np.array_equal(region.value[0], region.value[-1])


def test_the_study_group_answers_for_the_study() -> None:
    for answer, presence, status in (
        (ANSWERS["positive"], "52101004", "111242"),
        (ANSWERS["negative"], "272519000", "111241"),
    ):
        group = groups(answer.results.sr)[0]
        assert children(group, "121071")[0].ConceptCodeSequence[0].CodeValue == "1386000"
        assert children(group, "121052")[0].ConceptCodeSequence[0].CodeValue == presence
        assert children(group, "111017")[0].ConceptCodeSequence[0].CodeValue == status
        measured = children(group, "122157")[0].MeasuredValueSequence[0]
        assert float(measured.NumericValue) == pytest.approx(answer.finding.probability)


def test_every_group_is_tracked_and_every_number_has_its_algorithm(answer: Answered) -> None:
    for group in all_groups(answer.results.sr):
        assert len(children(group, "112039")) == len(children(group, "112040")) == 1
        assert children(group, "111001")[0].TextValue == "hemorrhage_detector"
    numbers = [item for item in items(answer.results.sr) if item.ValueType == "NUM"]
    assert numbers
    for number in numbers:
        (parameters,) = children(number, "111002")
        assert (
            parameters.TextValue
            == f"threshold=0.5,extend_score=0.5,join_mm=10,model_sha256={answer.reading.model.sha256}"
        )
        assert children(number, "111003")[0].TextValue == "1"


def test_a_lesion_is_tracked_by_the_same_uid_in_the_segmentation() -> None:
    answer = ANSWERS["positive"]
    assert answer.results.seg is not None
    in_seg = {segment.SegmentNumber: segment.TrackingUID for segment in answer.results.seg.SegmentSequence}
    in_sr = {}
    for group in groups(answer.results.sr)[1:]:
        (segment,) = children(group, "121191")
        assert segment.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == answer.results.seg.SOPInstanceUID
        in_sr[segment.ReferencedSOPSequence[0].ReferencedSegmentNumber] = children(group, "112040")[0].UID
    assert in_sr == in_seg


def test_a_lesion_names_its_site_and_the_slices_it_stands_on() -> None:
    answer = ANSWERS["positive"]
    for group, lesion in zip(groups(answer.results.sr)[1:], answer.finding.lesions, strict=True):
        sources = [item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in children(group, "121233")]
        assert sources == [answer.volume.instance_uids[z] for z in lesion.slices]
        site = children(group, "363698007")[0].ConceptCodeSequence[0].CodeValue
        assert site == {"iph": "12738006", "edh_sdh": "1231004", "sah": "35951006"}[lesion.type]


def test_what_the_report_refers_to_stands_in_its_evidence(answer: Answered) -> None:
    (study,) = answer.results.sr.CurrentRequestedProcedureEvidenceSequence
    evidence = {
        (series.SeriesInstanceUID, instance.ReferencedSOPInstanceUID)
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }
    referenced = {
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for item in items(answer.results.sr)
        if item.ValueType == "IMAGE"
    }
    assert referenced <= {instance for _, instance in evidence}
    assert {(answer.volume.series_uid, one) for one in answer.volume.instance_uids} <= evidence


def test_twenty_lesions_have_a_group_and_the_rest_is_summed() -> None:
    answer = ANSWERS["many lesions"]
    assert len(answer.finding.lesions) == 24
    found = groups(answer.results.sr)
    assert len(found) == 1 + 20 + 1
    (rest,) = children(found[-1], "118565006")
    total = sum(lesion.volume_ml for lesion in answer.finding.lesions[20:])
    assert float(rest.MeasuredValueSequence[0].NumericValue) == pytest.approx(total, rel=1e-5)
    assert children(found[-1], "121106")[0].TextValue.startswith("4 smaller lesions")
    assert answer.results.seg is not None
    assert len(answer.results.seg.SegmentSequence) == 24


def test_the_words_say_what_was_found_and_why_this_series() -> None:
    answer = answer_of(selection_reasons=("axial planes, soft-tissue kernel H30",))
    text = children(groups(answer.results.sr)[0], "121106")[0].TextValue
    total = sum(lesion.volume_ml for lesion in answer.finding.lesions)
    assert "Research use only, trained on simulated scans. Not for diagnosis." in text
    assert f"Intracranial hemorrhage found: 3 lesions, {total:.1f} mL together." in text
    assert "Why this series: axial planes, soft-tissue kernel H30" in text
    assert answer.reading.model.sha256 in text
    iph = children(groups(answer.results.sr)[1], "121106")[0].TextValue
    lesion = answer.finding.lesions[0]
    assert lesion.abc2_ml is not None
    assert iph.startswith(f"IPH, medium: {lesion.volume_ml:.1f} mL (ABC/2 {lesion.abc2_ml:.1f} mL), confidence 0.90")


def test_each_flaw_of_the_images_is_a_quality_finding_where_there_is_a_code_and_a_sentence_always() -> None:
    seen = tuple(Flaw(code, f"what is seen of {code.value}") for code in FlawCode)
    group = groups(answer_of(flaws=seen).results.sr)[0]
    codes_said = [item.ConceptCodeSequence[0].CodeValue for item in children(group, "111052")]
    assert codes_said == ["111210", "111215", "130576", "111207"]
    lines = children(group, "121106")[0].TextValue.split("\n")
    for flaw in seen:
        assert f"IMAGE QUALITY: {flaw.code.value}: {flaw.reason}." in lines
    assert "IMAGE QUALITY" not in children(groups(answer_of().results.sr)[0], "121106")[0].TextValue


def test_the_words_and_the_parameters_say_from_which_scores_detections_counted() -> None:
    group = groups(answer_of(threshold=0.6).results.sr)[0]
    assert children(group, "111002")[0].TextValue.startswith("threshold=0.6,extend_score=0.5,join_mm=10,")
    sentence = "Highest score 0.90, threshold 0.60. Lesions are extended by what scores 0.50 or more."
    assert sentence in children(group, "121106")[0].TextValue.split("\n")
    alone = children(groups(answer_of(threshold=0.5).results.sr)[0], "121106")[0].TextValue
    assert "Highest score 0.90, threshold 0.50." in alone.split("\n")


def test_a_superseding_report_names_the_older_one_in_the_series_it_stood_in() -> None:
    older = ANSWERS["positive"].results.sr
    newer = answer_of(
        threshold=0.55, supersedes=(older.SOPClassUID, older.SOPInstanceUID), selection_reasons=()
    ).results.sr
    (study,) = newer.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    assert study.StudyInstanceUID == older.StudyInstanceUID
    assert series.SeriesInstanceUID == older.SeriesInstanceUID == series_uid_of(older.SOPInstanceUID)
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == older.SOPInstanceUID
    assert "PredecessorDocumentsSequence" not in older


def test_the_sop_class_is_the_one_set() -> None:
    assert ANSWERS["positive"].results.sr.SOPClassUID == Comprehensive3DSRStorage
    assert ANSWERS["positive, comprehensive"].results.sr.SOPClassUID == ComprehensiveSRStorage


def test_codes_have_the_meanings_of_the_dictionary() -> None:
    used = {
        (code.CodingSchemeDesignator, code.CodeValue): code.CodeMeaning.lower()
        for answer in ANSWERS.values()
        for item in items(answer.results.sr)
        for keyword in ("ConceptNameCodeSequence", "ConceptCodeSequence")
        for code in item.get(keyword, [])
    }
    in_dictionary: dict[tuple[str, str], set[str]] = {}
    for scheme, by_keyword in concepts.items():
        for by_value in by_keyword.values():
            for value, (meaning, _) in by_value.items():
                # SNOMED's own names carry the kind of concept in brackets.
                in_dictionary.setdefault((scheme, value), set()).add(meaning.lower().split(" (")[0])
    assert set(used) - set(in_dictionary) == {("LN", "30799-1"), ("RFC5646", "en")}
    for code in set(used) & set(in_dictionary):
        assert used[code] in in_dictionary[code]


def test_a_study_of_320_slices_lists_key_slices_alone_in_the_image_library() -> None:
    volume = made_volume(positions_mm=np.arange(320) * 0.5, matrix=(32, 32), spacing_mm=(7.2, 7.2))
    sr = answer_of(volume).results.sr
    (library,) = children(sr, "111028")
    assert sum(item.ValueType == "IMAGE" for item in items(library)) == 6


PART = Coverage(12, 30, 60.0, ("the top of the head is missing: the highest slice still shows 140 cm2 of the skull",))


@pytest.mark.parametrize("found", [True, False], ids=["positive", "negative"])
def test_a_report_about_a_part_of_the_head_says_so_in_codes_and_in_words(found: bool, tmp_path: Path) -> None:
    results = (answer_of if found else negative)(covered=PART).results
    report = results.sr
    assert report.CompletionFlag == "PARTIAL"
    assert report.CompletionFlagDescription == "Part of the head: 12 of 30 slices, 60 mm"
    group = groups(report)[0]
    coded = {name: children(group, name)[0].ConceptCodeSequence[0].CodeValue for name in ("121052", "111052", "111017")}
    assert coded == {
        "121052": "52101004" if found else "373068000",
        "111052": "130576",
        "111017": "111244" if found else "111243",
    }
    lines = children(group, "121106")[0].TextValue.split("\n")
    assert lines[1].startswith("Intracranial hemorrhage found" if found else "No intracranial hemorrhage found")
    assert "in the part of the head that was read" in lines[1]
    assert lines[2] == f"PART OF THE HEAD ONLY. {PART.missing[0]}."
    assert any(line.endswith("12 of 30 slices, 60 mm.") for line in lines)
    assert dciodvfy_errors(write_dicom(report, tmp_path)) == []
    selection = results.key_object_selection
    assert selection is not None
    assert "in the part of the head that was read" in children(selection, "113012")[0].TextValue


def test_a_report_about_a_whole_head_states_what_it_covers() -> None:
    report = negative().results.sr
    assert report.CompletionFlag == "COMPLETE"
    group = groups(report)[0]
    assert children(group, "111052") == []
    assert any(line.endswith("12 of 12 slices, 60 mm.") for line in children(group, "121106")[0].TextValue.split("\n"))


def test_the_same_slices_as_a_whole_and_as_a_part_are_two_reports() -> None:
    assert negative().results.sr.SOPInstanceUID != negative(covered=PART).results.sr.SOPInstanceUID
