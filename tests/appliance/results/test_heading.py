# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Patient, study and character set of every result are the source's own; the equipment is ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO

import pydicom
import pytest
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from appliance.imaging.volume import Volume
from appliance.sections.answers import ResultsSettings
from appliance.settings import Settings
from tests.appliance.phantom import made_volume, reading_of, stroke_reading
from tests.appliance.results.answers import answer_of

NO_YES = (False, True)
CHARSETS = {
    "latin": ("ISO_IR 100", "Müller^Jörg"),
    "cyrillic": ("ISO_IR 144", "Люкceмбypг"),
    "greek": ("ISO_IR 126", "Διονυσιος"),
    "japanese": (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    "korean": (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    "chinese": ("GB18030", "Wang^XiaoDong=王^小东"),
    "unicode": ("ISO_IR 192", "Wang^XiaoDong=王^小东"),
    "none": (None, "Smith^John"),
}


def with_headers(
    volume: Volume,
    syntax: UID = ExplicitVRLittleEndian,
    spoil: Callable[[bytes], bytes] = bytes,
    **attributes: object,
) -> Volume:
    """Return the volume with attributes set (or, when None, left out) in its headers, as if read from files.

    `spoil` changes a file's bytes, without their length.
    """
    headers = []
    for header in volume.headers:
        for keyword, value in attributes.items():
            if value is None:
                header.pop(keyword, None)
            else:
                setattr(header, keyword, value)
        headers.append(reread(header, syntax, spoil))
    return replace(volume, headers=tuple(headers))


def reread(dataset: Dataset, syntax: UID = ExplicitVRLittleEndian, spoil: Callable[[bytes], bytes] = bytes) -> Dataset:
    file = BytesIO()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    pydicom.dcmwrite(file, dataset, enforce_file_format=True)
    return pydicom.dcmread(BytesIO(spoil(file.getvalue())))


def raw(dataset: Dataset, keyword: str) -> bytes | None:
    """The bytes of an element as they stand in the file."""
    element = reread(dataset).get_item(keyword)
    assert isinstance(element, RawDataElement)
    return element.value


@pytest.mark.parametrize("charset", CHARSETS.values(), ids=CHARSETS.keys())
def test_names_keep_their_bytes_in_every_character_set(charset: tuple[str | list[str] | None, str]) -> None:
    ascii_words = {"ReferringPhysicianName": "Doe^Jane", "StudyDescription": "CT head"}
    volume = with_headers(made_volume(), SpecificCharacterSet=charset[0], PatientName=charset[1], **ascii_words)
    expected = raw(volume.headers[0], "PatientName")
    for name, dataset in answer_of(volume).results.make_datasets():
        assert raw(dataset, "PatientName") == expected, name
        assert dataset.get("SpecificCharacterSet") == volume.headers[0].get("SpecificCharacterSet")


def texts(dataset: Dataset, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text of a data set with the place where it stands."""
    for element in dataset:
        if element.VR == "SQ":
            for number, item in enumerate(element.value):
                yield from texts(item, f"{path}{element.keyword}[{number}].")
        elif element.VR in ("LO", "LT", "SH", "ST", "UC", "UT", "CS"):
            yield f"{path}{element.keyword}", str(element.value)


CARRIED = {"PatientName", "ReferringPhysicianName", "SpecificCharacterSet"}


@pytest.mark.parametrize("bleeds", NO_YES)
def test_every_text_of_ours_is_ascii_and_the_same_in_every_character_set(bleeds: bool) -> None:
    reasons = ("2.5–5 mm slices (5.0 mm)", "planes tilted by 12°", "score ≥ 3 · 5 × 5 …")
    found: dict[str, list[tuple[str, str, str]]] = {}
    for charset, (claimed, name) in {**CHARSETS, "latin 2": ("ISO_IR 101", "Dvořák^Jiří")}.items():
        volume = with_headers(
            made_volume(),
            SpecificCharacterSet=claimed,
            PatientName=name,
            ReferringPhysicianName="Doe^Jane",
            StudyDescription="CT head",
            SeriesDescription="Head 5.0",
        )
        reading = stroke_reading() if bleeds else reading_of()
        answer = answer_of(volume, reading, selection_reasons=reasons)
        found[charset] = [
            (kind, place, text)
            for kind, dataset in answer.results.make_datasets()
            for place, text in texts(reread(dataset, dataset.file_meta.TransferSyntaxUID))
            if place not in CARRIED
        ]
    first = found["none"]
    assert {kind for kind, _, _ in first} >= {"sr", "key-image-1", "key-objects", *(("seg",) if bleeds else ())}
    assert [text for text in first if not text[2].isascii()] == []
    (summary,) = [text for kind, _, text in first if kind == "sr" and text.startswith("Research use only")]
    assert "2.5-5 mm slices (5.0 mm)" in summary
    assert "score >= 3 - 5 x 5 ..." in summary
    for charset, all_texts in found.items():
        assert all_texts == first, charset


@pytest.mark.parametrize(
    ("charset", "written"),
    [
        ("ISO_IR 192", "Schädel – голова 頭 5.0".replace("–", "-")),
        ("ISO_IR 100", "Schädel -   5.0"),
        ("ISO_IR 144", "Schadel - голова  5.0"),
        ("GB18030", "Schädel - голова 頭 5.0"),
        (None, "Schadel -   5.0"),
    ],
    ids=str,
)
def test_words_of_others_keep_the_letters_that_the_character_set_has(charset: str | None, written: str) -> None:
    volume = with_headers(
        made_volume(), SpecificCharacterSet=charset, PatientName="A^B", ReferringPhysicianName="", StudyDescription="CT"
    )
    sr = answer_of(volume, selection_reasons=["Schädel – голова 頭 5.0"]).results.sr
    assert any(text.count(f"Why this series: {written}\n") for _, text in texts(reread(sr)))


# The bytes that a name is in, and the character set that the header claims.
CLAIMS = {
    "latin without a character set": (b"M\xfcl\xdfer", None),
    "utf-8 without a character set": (b"M\xc3\xbcler", None),
    "latin called utf-8": (b"M\xfcl\xdfer", "ISO_IR 192"),
    "utf-8 called latin": (b"M\xc3\xbcler", "ISO_IR 100"),
    "an unknown character set": (b"M\xfcl\xdfer", "ISO_IR 999"),
    "a misspelt character set": (b"M\xfcl\xdfer", "ISO IR 100"),
}


@pytest.mark.filterwarnings("ignore:.*")
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian], ids=["explicit", "implicit"])
@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS.keys())
def test_names_keep_their_bytes_when_the_header_claims_another_character_set(
    claim: tuple[bytes, str | None], syntax: UID
) -> None:
    stored, charset = claim
    volume = with_headers(
        made_volume(),
        syntax,
        lambda file: file.replace(b"MARKED", stored).replace(b"ISO_IR 100", (charset or "").encode().ljust(10)),
        SpecificCharacterSet="ISO_IR 100" if charset else None,
        PatientName="MARKED",
        ReferringPhysicianName="",
        StudyDescription="CT",
    )
    for name, dataset in answer_of(volume).results.make_datasets():
        file = BytesIO()
        pydicom.dcmwrite(file, dataset, enforce_file_format=True)
        assert b"PN\x06\x00" + stored in file.getvalue(), name


def test_attributes_of_patient_and_study_are_unchanged_in_every_result() -> None:
    other = Dataset()
    other.PatientID = "OLD-7"
    other.TypeOfPatientID = "TEXT"
    carried = {
        "IssuerOfPatientID": "HOSPITAL^Å",
        "OtherPatientIDsSequence": [other],
        "OtherPatientNames": "Фантом^Второй",
        "PatientBirthDate": "19500102",
        "PatientComments": "made by code",
        "EthnicGroup": "none",
        "PatientWeight": "71.5",
        "StudyDescription": "CT Schädel nativ",
        "AccessionNumber": "A-1",
        "ClinicalTrialSubjectID": "S1",
        "ClinicalTrialSponsorName": "Nobody",
        "ClinicalTrialProtocolID": "P1",
        "ReferringPhysicianName": "Доктор^Тест",
    }
    volume = with_headers(made_volume(), **carried)
    for name, dataset in answer_of(volume).results.make_datasets():
        for keyword in (*carried, "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "PatientAge", "PatientID"):
            assert dataset[keyword] == volume.headers[0][keyword], (name, keyword)


def test_what_the_source_leaves_out_is_there_and_empty() -> None:
    left_out = ("PatientID", "PatientSex", "PatientBirthDate", "StudyID", "AccessionNumber", "ReferringPhysicianName")
    volume = with_headers(made_volume(), **dict.fromkeys(left_out))
    for _, dataset in answer_of(volume).results.make_datasets():
        assert [dataset[keyword].value for keyword in left_out] == [""] * len(left_out)


@pytest.mark.filterwarnings("ignore:.*")
@pytest.mark.parametrize(
    "oddity",
    [{"PatientSex": "U"}, {"PatientName": "A=B=C=D"}, {"StudyDate": "2026.03.01"}, {"FrameOfReferenceUID": None}],
    ids=str,
)
def test_odd_values_of_the_source_are_handed_on_and_stop_nothing(oddity: dict[str, object]) -> None:
    volume = with_headers(made_volume(), **oddity)
    for _, dataset in answer_of(volume).results.make_datasets():
        for keyword, value in oddity.items():
            assert value is None or str(dataset[keyword].value) == value


def test_series_are_our_own_with_one_instance_of_sr_and_seg() -> None:
    results = answer_of().results
    assert results.seg is not None
    assert results.key_object_selection is not None
    numbers = [results.sr.SeriesNumber, results.seg.SeriesNumber, results.key_object_selection.SeriesNumber]
    numbers += [one.undrawn.SeriesNumber for one in results.key_images]
    assert all(9000 <= number < 10000 for number in numbers)
    series = {}
    for name, dataset in results.make_datasets():
        series.setdefault((dataset.SeriesInstanceUID, dataset.SeriesNumber, dataset.Modality), []).append(name)
    assert sorted(len(names) for names in series.values()) == [1, 1, 1, len(results.key_images)]


@pytest.mark.parametrize(("offset", "local"), [("+0900", "173112"), ("-0530", "030112"), ("+0000", "083112")])
def test_times_are_in_the_zone_that_the_source_says_its_times_are_in(offset: str, local: str) -> None:
    volume = with_headers(made_volume(), TimezoneOffsetFromUTC=offset)
    results = answer_of(volume, created=datetime(2026, 3, 1, 8, 31, 12, tzinfo=UTC)).results
    for _, dataset in results.make_datasets():
        assert dataset.ContentTime[:6] == dataset.InstanceCreationTime[:6] == local
        assert dataset.TimezoneOffsetFromUTC == offset


@pytest.mark.parametrize(
    ("charset", "written"),
    [
        ("ISO_IR 192", "Universitätsklinikum 東京"),
        ("ISO_IR 100", "Universitätsklinikum"),
        (["", "ISO 2022 IR 87"], "Universitatsklinikum 東京"),
        (None, "Universitatsklinikum"),
    ],
)
def test_the_institution_is_written_as_the_sources_character_set_allows(
    charset: str | list[str] | None, written: str
) -> None:
    volume = with_headers(
        made_volume(), SpecificCharacterSet=charset, PatientName="A^B", ReferringPhysicianName="", StudyDescription="CT"
    )
    settings = Settings(results=ResultsSettings(institution="Universitätsklinikum 東京"))
    for _, dataset in answer_of(volume, settings=settings).results.make_datasets():
        assert reread(dataset).InstitutionName == written


def test_words_of_the_source_stand_in_the_report_in_its_own_letters() -> None:
    volume = with_headers(
        made_volume(),
        SpecificCharacterSet=["", "ISO 2022 IR 87"],
        PatientName="A^B",
        ReferringPhysicianName="",
        StudyDescription="CT",
        SeriesDescription="頭部単純",
    )
    report = json.dumps(reread(answer_of(volume).results.sr).to_json_dict(), ensure_ascii=False)
    assert "Read: series 2 頭部単純, 12 of 12 slices, 60 mm." in report


def test_equipment_names_the_appliance_and_the_model() -> None:
    for _, dataset in answer_of().results.make_datasets():
        assert dataset.ManufacturerModelName == "Hemorrhage appliance"
        assert dataset.SoftwareVersions[1] == "hemorrhage_detector 1"
        assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
