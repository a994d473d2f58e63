# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whether two headers with one Patient ID are about one person. All names are invented."""

from __future__ import annotations

import pytest

from appliance.findings.change import Doubt
from appliance.prior.patient import doubt, is_placeholder, may_be_one_name

SOMEBODY = {
    "PatientID": "4711",
    "IssuerOfPatientID": "NORTH",
    "PatientName": "Huber^Anna",
    "PatientBirthDate": "19550302",
    "PatientSex": "F",
}


@pytest.mark.parametrize(
    "patient_id",
    [
        *(
            "",
            "0",
            "000",
            "-",
            "----",
            "UNKNOWN",
            "Unknown 1",
            "unbekannt2",
            "ANONYMOUS",
            "anonymized",
            "XXXXX",
            "9999",
        ),
        *("UNKNOWNMALE", "UNKNOWN001", "UNK", "JOHN DOE", "Doe, Jane", "NO NAME", "DEFAULT", "TRAUMA 123", "PAT001"),
        *("12345", "123456789", "987654321", "unknown-male-17", "M UNKNOWN"),
    ],
)
def test_an_id_that_stands_for_nobody_in_particular_is_a_placeholder(patient_id: str) -> None:
    assert is_placeholder(patient_id)
    assert doubt(SOMEBODY | {"PatientID": patient_id}, SOMEBODY | {"PatientID": patient_id}) is Doubt.PLACEHOLDER_ID


@pytest.mark.parametrize(
    "patient_id",
    ["1", "17", "0001", "AB", "PAT0001", "test1234", "山田7", "12-34-57", "M12345", "1234", "NA77120"],
)
def test_a_short_or_plain_id_is_an_id(patient_id: str) -> None:
    assert not is_placeholder(patient_id)


@pytest.mark.parametrize(
    ("keyword", "other", "found"),
    [
        ("IssuerOfPatientID", "SOUTH", Doubt.OTHER_ISSUER),
        ("PatientBirthDate", "19550303", Doubt.OTHER_BIRTH_DATE),
        ("PatientSex", "M", Doubt.OTHER_SEX),
        ("PatientName", "Maier^Karl", Doubt.OTHER_NAME),
        ("PatientName", "Maier^Karl^^^Huber", Doubt.OTHER_NAME),
    ],
)
def test_what_contradicts_is_a_doubt(keyword: str, other: str, found: Doubt) -> None:
    assert doubt(SOMEBODY, SOMEBODY | {keyword: other}) is found
    assert doubt(SOMEBODY | {keyword: other}, SOMEBODY) is found


@pytest.mark.parametrize("keyword", ["IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientName"])
def test_what_one_header_does_not_say_contradicts_nothing(keyword: str) -> None:
    without = {name: value for name, value in SOMEBODY.items() if name != keyword}
    assert doubt(SOMEBODY, SOMEBODY | {keyword: " "}) is None
    assert doubt(without, SOMEBODY) is None
    assert doubt(without, without) is None


@pytest.mark.parametrize(
    "less", [{"PatientBirthDate": "19000101"}, {"PatientSex": "O"}, {"IssuerOfPatientID": "north "}]
)
def test_a_value_that_stands_for_not_known_contradicts_nothing(less: dict[str, str]) -> None:
    assert doubt(SOMEBODY, SOMEBODY | less) is None


@pytest.mark.parametrize(
    ("now", "then"),
    [
        ({"PatientName": "UNKNOWN^MALE", "PatientBirthDate": "19000101"}, {"PatientName": "UNKNOWN^MALE"}),
        ({"PatientName": "Doe^John", "PatientBirthDate": ""}, {"PatientName": "Doe^John"}),
        ({"PatientName": "Huber^Anna", "PatientBirthDate": ""}, {"PatientName": "Meier^Anna"}),
        ({"PatientName": ""}, {"PatientName": "Huber^Anna", "PatientBirthDate": ""}),
        ({"PatientName": "山田^太郎", "PatientBirthDate": ""}, {"PatientName": "Yamada^Tarou"}),
    ],
)
def test_the_id_alone_is_not_enough(now: dict[str, str], then: dict[str, str]) -> None:
    assert doubt(SOMEBODY | now, SOMEBODY | then) is Doubt.ID_ALONE


def test_a_person_who_was_unknown_at_first_is_known_by_the_birth_date() -> None:
    assert doubt(SOMEBODY, SOMEBODY | {"PatientName": "Unknown^Female"}) is None


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("Huber^Anna", "Meier^Anna"),  # by marriage
        ("Müller^Eva", "MUELLER^EVA MARIA"),
        ("Huber^A", "Huber^Anna"),
        ("Anna^Huber", "Huber^Anna"),
        ("Yamada^Tarou=山田^太郎", "Yamada^Taro"),
        ("山田^太郎", "Yamada^Tarou"),  # cannot be compared
        ("O'Brien^Pat", "OBrien^Patrick"),
        ("", "Huber^Anna"),
    ],
)
def test_a_name_may_change_be_spelled_otherwise_or_not_be_comparable(name: str, other: str) -> None:
    assert may_be_one_name(name, other)
    assert may_be_one_name(other, name)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("Huber^Anna", "Maier^Karl"),
        ("Li^Na", "Wang^Wei"),
        ("Иванов^Иван", "Петров^Олег"),
        ("Huber^Anna^^Dr", "Maier^Karl^^Dr"),
        ("Dorn^John", "Johnson^Mary"),
        ("Dorn^John^^Prof", "Smith^Alice^^Prof"),
        ("Ann^Lee", "Annabel^Kim"),
    ],
)
def test_a_wholly_different_name_is_another_one(name: str, other: str) -> None:
    assert not may_be_one_name(name, other)
