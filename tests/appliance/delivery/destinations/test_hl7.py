# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""HL7 v2 messages: valid by the standard's structures, read by another parser, and acknowledged by a real listener."""

from __future__ import annotations

import re
import socket
import threading
from dataclasses import replace
from typing import Any

import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message

from appliance.delivery.destinations.destination import AwayError, NotTakenError, RejectedError
from appliance.delivery.destinations.hl7 import Hl7, control_id, escape, order_change, oru
from appliance.ledger.records import OLD, ROUTINE, URGENT, Delivery
from appliance.ledger.states import JobState
from appliance.sections.delivery import Hl7Settings
from deploy.local.ports import free_ports
from tests.appliance.delivery.jobs import job
from tests.appliance.delivery.parcels import KEY, parcel
from tests.appliance.delivery.receivers import Listener, acknowledge


def settings(port: int = 2575, **more: Any) -> Hl7Settings:
    return Hl7Settings(kind="hl7", host="127.0.0.1", port=port, timeout_s=60, **more)  # type: ignore[arg-type]


def fields(message: str, segment: str) -> list[list[str]]:
    """Return the fields of each segment of a name; the name is the field with number 0."""
    return [line.split("|") for line in message.split("\r") if line.startswith(f"{segment}|")]


def test_a_message_fits_the_structure_of_the_standard_and_stands_in_its_order() -> None:
    message = oru(parcel(), settings(receiving_application="RIS", receiving_facility="HOSP"))
    assert parse_message(message, validation_level=VALIDATION_LEVEL.STRICT).validate()
    names = [line[:3] for line in message.strip("\r").split("\r")]
    assert names[:5] == ["MSH", "PID", "ORC", "OBR", "TQ1"]
    assert set(names[5:]) == {"OBX"}
    (msh,) = fields(message, "MSH")
    assert (msh[2], msh[4], msh[5]) == ("HEMORRHAGE", "RIS", "HOSP")
    assert (msh[8], msh[9], msh[11], msh[17]) == ("ORU^R01^ORU_R01", control_id(parcel()), "2.5.1", "UNICODE UTF-8")
    assert len(msh[9]) == 20
    assert msh[9].lower() in KEY.replace("-", "")


def test_the_patient_and_the_order_are_those_of_the_images_and_nothing_in_them_parts_fields() -> None:
    message = oru(parcel(), settings())
    (pid,) = fields(message, "PID")
    assert pid[3] == "12\\S\\3"
    assert pid[5] == "Müller^Ann\\T\\a\\F\\x"
    assert (pid[7], pid[8]) == ("19600102", "F")
    (obr,) = fields(message, "OBR")
    assert (obr[3], obr[4], obr[7]) == ("ER-12", "^CT head", "20260102101112")
    assert escape("a\rb\\c~d") == "a b\\E\\c\\R\\d"


def test_a_study_with_hemorrhage_has_volumes_by_type_and_the_highest_priority() -> None:
    message = oru(parcel(), settings())
    observed = {obx[3].partition("^")[0]: obx for obx in fields(message, "OBX")}
    assert observed["HEMORRHAGE"][5] == "present"
    assert observed["1386000"][5] == "52101004^Present^SCT"
    volumes = {
        obx[3].split("^")[3]: (obx[5], obx[6]) for obx in fields(message, "OBX") if obx[3].startswith("118565006")
    }
    assert volumes == {"iph": ("32.0", "mL^milliliter^UCUM"), "sah": ("1.5", "mL^milliliter^UCUM")}
    assert observed["113014"][5] == "1.2"
    assert fields(message, "TQ1")[0][9] == "S"
    assert fields(message, "OBR")[0][25] == "P"  # preliminary: never final


def test_no_hemorrhage_is_routine_and_a_part_or_an_unread_study_is_not_called_absent() -> None:
    none = {"present": False, "probability": 0.1, "lesions": [], "coverage": {"partial": False}}
    absent = oru(parcel(answer=none, priority=OLD), settings())
    assert fields(absent, "TQ1")[0][9] == "R"
    assert "272519000^Absent^SCT" in absent
    part = oru(parcel(answer={**none, "coverage": {"partial": True}}), settings())
    unread = oru(parcel(answer={}, state=JobState.REFUSED), settings())
    for message, word in ((part, "undetermined"), (unread, "unread")):
        assert "1386000" not in message
        assert f"|HEMORRHAGE^Answer^L||{word}|" in message


def test_an_answer_that_takes_the_place_of_another_corrects_it_and_names_it() -> None:
    message = oru(parcel(replaces="1.2.6"), settings())
    assert fields(message, "OBR")[0][25] == "C"
    assert "SR Predecessor UID^SR Predecessor UID^L||1.2.6|" in message


def test_an_answer_of_which_no_older_one_came_here_corrects_nothing() -> None:
    message = oru(replace(parcel(replaces="1.2.6"), corrects=False), settings())
    assert fields(message, "OBR")[0][25] == "P"


def test_a_study_without_identity_makes_a_valid_message_too() -> None:
    odd = {"PatientName": "", "StudyDate": "tomorrow", "ProcedureCodeSequence": [{"CodeValue": "30799-1"}]}
    message = oru(parcel(odd), settings())
    assert parse_message(message, validation_level=VALIDATION_LEVEL.STRICT).validate()
    assert fields(message, "OBR")[0][4] == "30799-1"


@pytest.mark.parametrize(
    ("encoding", "named", "name"),
    [("utf-8", "UNICODE UTF-8", "Müller 病"), ("iso-8859-1", "8859/1", "Müller ?"), ("ascii", "ASCII", "M?ller ?")],
)
def test_a_message_is_in_the_character_set_that_it_names(encoding: str, named: str, name: str) -> None:
    came: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            connection, _ = server.accept()
            with connection:
                while not b"".join(came).endswith(b"\x1c\r"):
                    came.append(connection.recv(4096))
                connection.sendall(acknowledge(b"".join(came)[1:-2].decode(encoding)))

        thread = threading.Thread(target=take)
        thread.start()
        Hl7(settings(server.getsockname()[1], encoding=encoding)).deliver(parcel({"PatientName": "Müller 病"}))
        thread.join()
    message = b"".join(came)[1:-2].decode(encoding)
    assert fields(message, "MSH")[0][17] == named
    assert fields(message, "PID")[0][5] == name


def test_the_acknowledgement_decides(listener: Listener) -> None:
    hl7 = Hl7(settings(listener.port))
    assert hl7.deliver(parcel()) == "AA"
    expected: list[tuple[str, type[Exception]]] = [
        ("AE", NotTakenError),
        ("CE", NotTakenError),
        ("AR", NotTakenError),
        ("CR", NotTakenError),
        ("", NotTakenError),
    ]
    for code, error in expected:
        listener.answer = lambda message, code=code: acknowledge(message, code, "why not")  # type: ignore[misc]
        with pytest.raises(error, match="why not"):
            hl7.deliver(parcel())
    listener.answer = lambda message: acknowledge(message, about="ANOTHER")
    with pytest.raises(NotTakenError, match="another message"):
        hl7.deliver(parcel())
    assert len({re.split(r"\|", one)[9] for one in listener.came}) == 1  # each try has the same control identifier


def test_what_is_no_listener_has_not_taken_it_and_where_nobody_listens_all_wait(listener: Listener) -> None:
    hl7 = Hl7(settings(listener.port))
    for answer in (b"HTTP/1.1 400 Bad Request\r\n\r\n\x1c\r", b"\x0bnonsense\x1c\r", b""):
        listener.answer = lambda _, answer=answer: answer  # type: ignore[misc]
        with pytest.raises(NotTakenError):
            hl7.deliver(parcel())
    with pytest.raises(AwayError, match="refused"):
        Hl7(settings(*free_ports(1))).deliver(parcel())


def test_a_listener_that_says_nothing_is_waited_for_no_longer_than_the_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        impatient = Hl7Settings(kind="hl7", host="127.0.0.1", port=silent.getsockname()[1], timeout_s=0.2)
        done: list[BaseException] = []

        def try_it() -> None:
            try:
                Hl7(impatient).deliver(parcel())
            except NotTakenError as error:
                done.append(error)

        thread = threading.Thread(target=try_it)
        thread.start()
        thread.join(60)
        assert "does not acknowledge" in str(done[0])


@pytest.mark.parametrize(
    ("code", "segments", "error"),
    [
        ("AR", "MSA|AR|{}|no|||101^Required field missing^HL70357\r", RejectedError),
        ("CR", "MSA|CR|{}\rERR||OBX^1|103^Table value not found^HL70357|E\r", RejectedError),
        ("AR", "MSA|AR|{}\rERR|OBX^1^5^102&Data type error\r", RejectedError),
        ("AR", "MSA|AR|{}\rERR|||200^Unsupported message type|E\r", RejectedError),
        ("AR", "MSA|AR|{}\rERR|||207^Application internal error|E\r", NotTakenError),
        ("AR", "MSA|AR|{}\rERR|||206^Locked|E\r", NotTakenError),
        ("AR", "MSA|AR|{}\rERR|||101|E\rERR|||207|E\r", NotTakenError),
        ("AR", "MSA|AR|{}\rERR|||DB_DOWN|E\r", NotTakenError),
        ("AE", "MSA|AE|{}\rERR|||101|E\r", NotTakenError),
    ],
)
def test_only_an_error_of_the_message_itself_rejects_it_for_good(
    listener: Listener, code: str, segments: str, error: type[Exception]
) -> None:
    def answer(message: str) -> bytes:
        header = "MSH|^~\\&|RIS|HOSP|HEMORRHAGE||20260101000000||ACK^R01^ACK|A1|P|2.5.1\r"
        return b"\x0b" + (header + segments.format(control_id(parcel()))).encode() + b"\x1c\r"

    listener.answer = answer
    with pytest.raises(error, match=f": {code}"):
        Hl7(settings(listener.port)).deliver(parcel())


@pytest.mark.parametrize("code", ["AA", "AR", "AE"])
def test_what_a_listener_says_is_kept_short_and_without_the_patient(listener: Listener, code: str) -> None:
    said = "order of Müller, Ann\\T\\a\\F\\x (12\\S\\3, 1960-01-02) " + "z" * 20000
    listener.answer = lambda message: acknowledge(message, code, said)
    hl7 = Hl7(settings(listener.port))
    if code == "AA":
        told = hl7.deliver(parcel())
    else:
        with pytest.raises(NotTakenError) as caught:
            hl7.deliver(parcel())
        told = str(caught.value)
    assert f"{code} order of ***" in told
    assert len(told) < 300
    for secret in ("ller", "Ann", "12^3", "1960"):
        assert secret not in told


def test_a_listener_that_drips_is_waited_for_no_longer_than_the_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        gone = threading.Event()

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                try:
                    while not gone.wait(0.05):
                        connection.sendall(b"x")
                except OSError:  # the appliance has hung up
                    gone.set()

        thread = threading.Thread(target=drip)
        thread.start()
        impatient = Hl7Settings(kind="hl7", host="127.0.0.1", port=server.getsockname()[1], timeout_s=0.5)
        with pytest.raises(NotTakenError, match="does not acknowledge"):
            Hl7(impatient).deliver(parcel())
        assert gone.wait(60)  # and it has not waited for the 65536 bytes that an answer may have
        thread.join()


def test_a_listener_is_tested_without_a_message(listener: Listener) -> None:
    assert "is listened on" in Hl7(settings(listener.port)).test()
    assert listener.came == []


def test_the_change_of_an_order_has_the_priority_of_the_answer_and_nothing_else_of_it() -> None:
    message = order_change(parcel(), settings(message="omg", priority_in=("tq1", "obr27")))
    assert parse_message(message, validation_level=VALIDATION_LEVEL.STRICT).validate()
    assert [line[:3] for line in message.strip("\r").split("\r")] == ["MSH", "PID", "ORC", "TQ1", "OBR"]
    (orc,), (tq1,), (obr,) = (fields(message, name) for name in ("ORC", "TQ1", "OBR"))
    assert (orc[1], orc[3], tq1[9], obr[3], obr[27]) == ("XO", "ER-12", "S", "ER-12", "^^^^^S")
    assert "present" not in message


def test_a_system_of_before_v25_finds_the_priority_where_it_stood_then() -> None:
    message = order_change(parcel(), settings(message="orm"))
    assert [line[:3] for line in message.strip("\r").split("\r")] == ["MSH", "PID", "ORC", "OBR"]
    (msh,), (orc,), (obr,) = (fields(message, name) for name in ("MSH", "ORC", "OBR"))
    assert (msh[8], orc[1], orc[7], obr[27]) == ("ORM^O01^ORM_O01", "XO", "^^^^^S", "^^^^^S")
    told = oru(parcel(), settings(priority_in=("obr27",)))
    assert parse_message(told, validation_level=VALIDATION_LEVEL.STRICT).validate()
    assert (fields(told, "TQ1"), fields(told, "OBR")[0][27]) == ([], "^^^^^S")


@pytest.mark.parametrize("kind", ["oru", "orm", "omg"])
def test_the_codes_of_priority_are_the_sites_and_an_emergency_stays_one(kind: str, listener: Listener) -> None:
    own = settings(listener.port, message=kind, urgent="A", routine="T", priority_in=("tq1", "obr27"))
    absent = {"present": False, "probability": 0.1, "lesions": []}
    raised = (replace(parcel().delivery, id=2, receipt="AA; priority A"),)
    taken_back = replace(parcel(answer=absent, priority=ROUTINE), earlier=raised)
    for one in (parcel(), parcel(answer=absent, priority=URGENT), taken_back):
        Hl7(own).deliver(one)
    assert [fields(message, "OBR")[0][27] for message in listener.came] == ["^^^^^A", "^^^^^A", "^^^^^T"]


@pytest.mark.parametrize("kind", ["orm", "omg"])
def test_an_order_that_the_appliance_did_not_raise_is_not_lowered(kind: str, listener: Listener) -> None:
    ris = Hl7(settings(listener.port, message=kind))
    absent: dict[str, Any] = {"answer": {"present": False, "probability": 0.1, "lesions": []}, "priority": ROUTINE}
    earlier: list[Delivery] = []
    sent = []
    for changes in (absent, absent, {}, {}, absent, absent):
        one = replace(parcel(**changes), earlier=tuple(earlier))
        earlier.append(replace(one.delivery, id=len(earlier), receipt=ris.deliver(one)))
        sent.append(len(listener.came))
    # Nothing for the first two, S and S, R once, and nothing after it, as somebody may have raised the order since.
    assert sent == [0, 0, 1, 2, 3, 3]
    assert earlier[0].receipt == "not sent: the order keeps its priority, which the appliance did not raise"
    # One of which it is not known whether it came may have raised it.
    Hl7(settings(listener.port, message=kind)).deliver(
        replace(parcel(**absent), earlier=(replace(earlier[0], receipt="", rejections=1),))
    )
    assert len(listener.came) == 4


def test_without_a_number_no_order_can_be_changed(listener: Listener) -> None:
    with pytest.raises(RejectedError, match="neither an accession number nor an order number"):
        Hl7(settings(listener.port, message="orm")).deliver(parcel(header={"PatientID": "7"}))
    assert listener.came == []


@pytest.mark.parametrize("kind", ["oru", "orm", "omg"])
def test_an_answer_about_another_series_does_not_lower_the_order_of_a_hemorrhage_that_stands(kind: str) -> None:
    own = settings(message=kind, priority_in=("tq1", "obr27"))
    absent: dict[str, Any] = {
        "answer": {"present": False, "probability": 0.1, "lesions": []},
        "orthanc_series": "bone",
        "priority": ROUTINE,
    }
    made = oru if kind == "oru" else order_change
    standing = job(id=6, priority=ROUTINE)
    assert fields(made(parcel(beside=(standing,), **absent), own), "OBR")[0][27] == "^^^^^S"
    assert fields(made(parcel(beside=(job(id=6, **absent),), **absent), own), "OBR")[0][27] == "^^^^^R"


def test_observations_with_the_same_identifier_are_told_apart_by_their_number() -> None:
    told = [(one[3].partition("^")[0], one[4]) for one in fields(oru(parcel(), settings()), "OBX")]
    assert [number for name, number in told if name == "118565006"] == ["1", "2"]
    assert len(set(told)) == len(told)
