# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What docs/ihe-air.md says of the result objects, beyond what the tests of each object show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pydicom import Dataset
from pydicom.uid import Comprehensive3DSRStorage

from appliance.results.report import Results
from tests.appliance.phantom import stroke_reading
from tests.appliance.results.answers import answer_of, negative


def objects(results: Results) -> list[Dataset]:
    return [one.announced for one in results.objects.values()]


def items(item: Dataset) -> Iterator[Dataset]:
    """Every content item under one."""
    for child in item.get("ContentSequence", []):
        yield child
        yield from items(child)


def groups(sr: Dataset) -> list[Dataset]:
    """The measurement groups, the study's first."""
    (measurements,) = (child for child in sr.ContentSequence if _concept(child) == "126010")
    return list(measurements.ContentSequence)


def values(item: Dataset, code: str) -> list[str]:
    """Return the values of the children of an item that have a concept name."""
    found = []
    for child in (child for child in item.ContentSequence if _concept(child) == code):
        coded = child.get("ConceptCodeSequence")
        found.append(str(coded[0].CodeValue) if coded else str(child.get("UID") or child.get("TextValue")))
    return found


def test_qualitative_findings_stand_in_a_comprehensive_3d_sr_with_tid_1500_as_its_root() -> None:
    for answered, presence in ((answer_of(), "52101004"), (negative(), "272519000")):
        sr = answered.results.sr
        assert sr.SOPClassUID == Comprehensive3DSRStorage
        assert (sr.ContentTemplateSequence[0].MappingResource, sr.ContentTemplateSequence[0].TemplateIdentifier) == (
            "DCMR",
            "1500",
        )
        of_study = groups(sr)[0]
        assert (values(of_study, "121071"), values(of_study, "121052")) == (["1386000"], [presence])


def test_the_procedure_reported_is_the_imaging_and_not_the_algorithm() -> None:
    assert values(answer_of().results.sr, "121058") == ["30799-1"]


def test_the_algorithm_is_named_in_every_object_and_the_contributing_equipment_is_not_written() -> None:
    answered = answer_of()
    model = answered.reading.model
    made = objects(answered.results)
    assert len(made) > 3
    for one in made:
        assert one.Manufacturer
        assert one.ManufacturerModelName
        assert f"{model.name} {model.version}" in one.SoftwareVersions
        # The page says so: change it there, with the code for its purpose, when it is written.
        assert "ContributingEquipmentSequence" not in one
    names = [str(item.TextValue) for item in items(answered.results.sr) if _concept(item) == "111001"]
    assert set(names) == {model.name}
    segment = answered.results.seg.SegmentSequence[0]
    assert segment.SegmentationAlgorithmIdentificationSequence[0].AlgorithmName == model.name


def _concept(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeValue) if "ConceptNameCodeSequence" in item else ""


def test_another_model_is_another_device() -> None:
    reading = stroke_reading()
    other = replace(reading, model=replace(reading.model, sha256="cd" * 32))
    one, another = (values(answer_of(reading=read).results.sr, "121012") for read in (reading, other))
    assert len(one) == len(another) == 1
    assert one != another


def test_each_lesion_of_the_key_images_stands_in_sr_and_seg_too() -> None:
    answered = answer_of()
    lesions = answered.finding.lesions
    assert len(lesions) > 1
    tracked = [uid for group in groups(answered.results.sr) for uid in values(group, "112040")]
    segments = [segment.TrackingUID for segment in answered.results.seg.SegmentSequence]
    assert len(segments) == len(lesions)
    assert set(segments) < set(tracked)
    for one in (kind for kind in objects(answered.results) if kind.Modality == "OT"):
        assert one.StudyInstanceUID == answered.results.sr.StudyInstanceUID
