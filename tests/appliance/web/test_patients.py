# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from appliance.errors import UnavailableError
from appliance.orthanc_errors import OrthancError
from appliance.web.patients import Patient, Patients, patient_of, person_name
from tests.appliance.web.site import Shelf


def held(**tags: str) -> dict[str, dict[str, str]]:
    return {
        "PatientMainDicomTags": {name: value for name, value in tags.items() if name.startswith("Patient")},
        "MainDicomTags": {name: value for name, value in tags.items() if not name.startswith("Patient")},
    }


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Muster^Max", "Muster, Max"),
        ("Muster^Max^Otto^Dr.", "Muster, Max Otto Dr."),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada, Tarou (山田, 太郎) (やまだ, たろう)"),
        ("ANONYMOUS", "ANONYMOUS"),
        ("^^^", ""),
        ("", ""),
    ],
)
def test_a_name_is_written_as_people_read_it(name: str, said: str) -> None:
    assert person_name(name) == said


@pytest.mark.parametrize(
    ("born", "scanned", "age"),
    [
        ("19570803", "20270115", "69 y"),
        ("19570115", "20270115", "70 y"),
        ("20260115", "20270115", "12 mo"),
        ("20270101", "20270115", "14 d"),
        ("20280101", "20270115", ""),
        ("19570230", "20270115", ""),
        ("1957", "20270115", ""),
        ("", "", ""),
    ],
)
def test_an_age_is_that_at_the_scan(born: str, scanned: str, age: str) -> None:
    assert patient_of(held(PatientBirthDate=born, StudyDate=scanned)).age == age


def test_what_does_not_print_is_left_out_and_a_text_is_bounded() -> None:
    found = patient_of(held(PatientID="a\x00b\u202e\nc", AccessionNumber="x" * 5000))
    assert found.number == "a b c"
    assert len(found.accession) == 200


def test_all_patients_of_a_page_are_asked_for_at_once_and_again_after_a_minute() -> None:
    shelf, now = Shelf(), [0.0]
    shelf.held["a"] = {"ID": "a", **held(PatientName="A")}
    patients = Patients(shelf, lambda: now[0])
    for now[0] in (0.0, 30.0, 59.0):
        assert patients.of_studies(["a", "gone", "a"]) == ({"a": Patient("A")}, True)
    assert shelf.asked == 1
    now[0] = 61.0
    shelf.held["a"] = {"ID": "a", **held(PatientName="B")}
    assert patients.of_studies(["a"])[0] == {"a": Patient("B")}


def test_an_orthanc_that_is_away_is_asked_again_after_a_while_and_its_last_word_stands_meanwhile() -> None:
    shelf, now = Shelf(), [0.0]
    shelf.held["a"] = {"ID": "a", **held(PatientName="A")}
    patients = Patients(shelf, lambda: now[0])
    patients.of_studies(["a"])
    shelf.fault, now[0] = UnavailableError("away"), 100.0
    assert patients.of_studies(["a", "b", "c"]) == ({"a": Patient("A")}, False)
    assert patients.of_studies(["b", "c"]) == ({}, False)
    assert shelf.asked == 2
    shelf.fault, now[0] = None, 120.0
    shelf.held["b"] = {"ID": "b", **held(PatientName="B")}
    assert patients.of_studies(["a", "b"]) == ({"a": Patient("A"), "b": Patient("B")}, True)


def test_a_page_does_not_wait_for_an_orthanc_that_hangs_and_its_answer_is_there_later() -> None:
    shelf = Shelf()
    shelf.held["a"] = {"ID": "a", **held(PatientName="A")}
    patients = Patients(shelf)
    shelf.hold.clear()
    assert patients.of_studies(["a"]) == ({}, False)
    assert patients.of_studies(["a"]) == ({}, False)
    assert shelf.asked == 1
    shelf.hold.set()
    while patients.of_studies(["a"]) != ({"a": Patient("A")}, True):
        pass
    assert shelf.asked == 1


def test_a_study_about_which_orthanc_answers_nonsense_has_no_patient_and_others_do() -> None:
    shelf = Shelf()
    shelf.fault = OrthancError("HTTP 400", 400)
    assert Patients(shelf).of_studies(["a"]) == ({}, True)
    shelf.fault = None
    shelf.held |= {"a": "x", "b": {"ID": 3}, "c": {"ID": "c", "PatientMainDicomTags": 3}}
    shelf.held["d"] = {"ID": "d", **held(PatientName="D")}
    found, _ = Patients(shelf).of_studies("abcd")
    assert found == {"c": Patient(), "d": Patient("D")}
