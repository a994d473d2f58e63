# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A system that takes HL7 v2.5.1 messages over MLLP, one connection a message: ORU^R01, or a change of an order.

The acknowledgement decides: AA is delivered, AE is tried again. AR stands for a system that is down as well as for a
message that is wrong, so it is tried again too unless an error code says that the message is wrong. The message names
the patient as the images do, because the receiver has to find the order. Its control identifier (MSH-10) is the same in
each try.
"""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from hl7apy.core import Message
from hl7apy.exceptions import HL7apyException
from hl7apy.parser import parse_message

from appliance.delivery.destinations.destination import AwayError, NotTakenError, Parcel, RejectedError
from appliance.delivery.destinations.foreign import quote_foreign
from appliance.delivery.destinations.tls import certificate_fault, tls_context
from appliance.delivery.destinations.webhook import connect_to
from appliance.delivery.message import NOTICE, headline
from appliance.delivery.variables import is_urgent, values_of, volumes_ml
from appliance.findings.change import TOTAL
from appliance.findings.outcome import Outcome
from appliance.reading.contract import HemorrhageType
from appliance.sections.delivery import Hl7Settings

_START: Final = b"\x0b"
_END: Final = b"\x1c\r"
_LONGEST_ANSWER: Final = 2**16
_ESCAPES: Final = {"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\"}
_NONE: Final = '""'
_WRONG: Final = frozenset({"100", "101", "102", "103", "104", "200", "201", "202", "203", "205"})
"""Codes of HL7 table 0357 for what is wrong with the message itself. Not 204 (an unknown patient or order may be made
known), 206 (a record is locked) and 207 (an error inside the application)."""
_CHARACTER_SETS: Final = {"utf-8": "UNICODE UTF-8", "iso-8859-1": "8859/1", "ascii": "ASCII"}
_VERSION: Final = "2.5.1"
_PRESENT, _ABSENT = "52101004^Present^SCT", "272519000^Absent^SCT"
_LEFT_ALONE: Final = "not sent: the order keeps its priority, which the appliance did not raise"
Header = Mapping[str, Any]


class Hl7:
    """Sends ORU^R01 messages, or ORM^O01 or OMG^O19 that change the priority of an order."""

    def __init__(self, settings: Hl7Settings) -> None:
        self._settings = settings

    def deliver(self, parcel: Parcel) -> str:
        """Send the message and read the acknowledgement; see `Destination`."""
        changes_order = self._settings.message != "oru"
        if changes_order and not is_urgent(parcel.situation) and not _may_be_raised(parcel, self._settings):
            return _LEFT_ALONE
        control = control_id(parcel)
        message = (order_change if changes_order else oru)(parcel, self._settings)
        answer = self._exchange(message.encode(self._settings.encoding, "replace"))
        said = acknowledged(answer, control, parcel.situation.header)
        return said + _with_priority(_priority(parcel, self._settings)) if changes_order else said

    def test(self) -> str:
        """Connect; no message is sent."""
        return connect_to(self._settings.host, self._settings.port, self._settings.timeout_s, self._tls())

    def _tls(self) -> ssl.SSLContext | None:
        return None if self._settings.tls_ca is None else tls_context(self._settings.tls_ca)

    def _exchange(self, message: bytes) -> bytes:
        host, port, tls = self._settings.host, self._settings.port, self._tls()
        at = f"{host}:{port}"
        ends = time.monotonic() + self._settings.timeout_s
        try:
            plain = socket.create_connection((host, port), self._settings.timeout_s)
        except OSError as error:
            raise AwayError(f"{at} does not answer ({error.strerror or type(error).__name__})") from error
        with plain:
            try:
                connection = plain if tls is None else tls.wrap_socket(plain, server_hostname=host)
            except OSError as error:
                raise AwayError(
                    f"{at}: {certificate_fault(error) or f'nothing answers over TLS ({type(error).__name__})'}"
                ) from error
            with connection:
                try:
                    connection.settimeout(max(0.001, ends - time.monotonic()))
                    connection.sendall(_START + message + _END)
                    return _answer(connection, ends)
                except OSError as error:  # it may be this message that it dies of: others are tried too
                    said = error.strerror or type(error).__name__
                    raise NotTakenError(f"{at} does not acknowledge ({said})") from error


def _answer(connection: socket.socket, ends: float) -> bytes:
    """Return the message between the marks of MLLP. Raises `TimeoutError` if it has not come by `ends` (monotonic)."""
    told = b""
    while not told.endswith(_END):
        left_s = ends - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("its answer does not end in time")
        connection.settimeout(left_s)
        part = connection.recv(4096)
        if not part:
            raise NotTakenError("the connection was closed before an acknowledgement came")
        told += part
        if len(told) > _LONGEST_ANSWER:
            raise NotTakenError("what answers is no HL7 listener: its answer does not end")
    return told.strip(_START + _END)


def acknowledged(answer: bytes, control: str, header: Header) -> str:
    """Return what an acknowledgement of message `control` says; raises what `Destination.deliver` does.

    `header` names the patient, whom a listener may name in its text and who is masked there.
    """
    text = re.sub(r"\r?\n", "\r", answer.decode("utf-8", "replace")).strip("\r")
    try:
        msa = parse_message(text, find_groups=False).msa
        code, about, said = (field.value or "" for field in (msa.msa_1, msa.msa_2, msa.msa_3))
    except (HL7apyException, AttributeError, IndexError, KeyError, ValueError):
        raise NotTakenError("what answers is no HL7 listener, or its acknowledgement cannot be read") from None
    if about and about != control:
        raise NotTakenError("it acknowledged another message")
    codes = _error_codes(text)
    reason = quote_foreign(" ".join((code, *codes, _unescape(said))), header)
    if code in ("AA", "CA"):
        return reason
    if code in ("AR", "CR") and codes and set(codes) <= _WRONG:
        raise RejectedError(f"the listener rejects the message: {reason}")
    raise NotTakenError(f"the listener could not take the message: {reason or 'no code'}")


def _error_codes(text: str) -> list[str]:
    """Return the codes of errors in MSA-6, ERR-1 (until v2.4) and ERR-3 (since v2.5), as far as they are numbers."""
    field, component, subcomponent = text[3:4], text[4:5], text[7:8]
    found = []
    for line in text.split("\r"):
        name, *fields = line.split(field)
        told = dict(enumerate(fields, start=1))
        if name == "MSA":
            found.append(told.get(6, "").split(component)[0])
        if name == "ERR":
            found.append(told.get(3, "").split(component)[0])
            older = told.get(1, "").split(component)
            found.append(older[3].split(subcomponent)[0] if len(older) > 3 else "")
    return [code for code in dict.fromkeys(found) if re.fullmatch(r"[0-9]{1,6}", code)]


def _unescape(text: str) -> str:
    for sign, escaped in reversed(_ESCAPES.items()):
        text = text.replace(escaped, sign)
    return text


def control_id(parcel: Parcel) -> str:
    """Return the control identifier of a message: 20 characters, the length of MSH-10."""
    return parcel.delivery.key.replace("-", "")[:20].upper()


def oru(parcel: Parcel, settings: Hl7Settings) -> str:
    """Return the message about an answer, its segments separated by carriage returns."""
    header = parcel.situation.header
    job = parcel.situation.job
    message = Message("ORU_R01", version=_VERSION)
    decided = datetime.fromtimestamp(job.created, UTC).strftime("%Y%m%d%H%M%S+0000")
    _fill(message.msh, _heading(parcel, settings, "ORU^R01^ORU_R01"))
    result = message.add_group("ORU_R01_PATIENT_RESULT")
    _fill(result.add_group("ORU_R01_PATIENT").add_segment("PID"), _patient(header))
    order = result.add_group("ORU_R01_ORDER_OBSERVATION")
    placer, accession = _text(header, "PlacerOrderNumberImagingServiceRequest"), _text(header, "AccessionNumber")
    _fill(order.add_segment("ORC"), {1: "RE", 2: placer, 3: accession})
    _fill(
        order.add_segment("OBR"),
        {
            1: "1",
            2: placer,
            3: accession,
            4: _procedure(header),
            7: _moment(_text(header, "StudyDate"), _text(header, "StudyTime")),
            22: decided,
            # Never F: a program for testing and research finalises nothing. C corrects an answer that came here.
            25: "C" if parcel.corrects else "P",
            27: _quantity_timing(parcel, settings) if "obr27" in settings.priority_in else "",
        },
    )
    # v2.5 has the priority in a segment of its own, where v2.3 had it in OBR-27.
    if "tq1" in settings.priority_in:
        _fill(order.add_group("ORU_R01_TIMING_QTY").add_segment("TQ1"), {1: "1", 9: _priority(parcel, settings)})
    observations = _observations(parcel)
    named = Counter(_identifier(fields) for fields in observations)
    told: Counter[str] = Counter()
    for number, fields in enumerate(observations, start=1):
        name = _identifier(fields)
        told[name] += 1
        # OBX-4 tells observations with the same identifier apart, or a receiver may keep only the last of them.
        own = {1: str(number), 4: str(told[name]) if named[name] > 1 else "", 11: "P"}
        _fill(order.add_group("ORU_R01_OBSERVATION").add_segment("OBX"), {**own, **fields})
    return str(message.to_er7())


def order_change(parcel: Parcel, settings: Hl7Settings) -> str:
    """Return the message that changes the priority of the order behind a study, and nothing else of it.

    Raises `RejectedError` when the images name no order.
    """
    header = parcel.situation.header
    placer, accession = _text(header, "PlacerOrderNumberImagingServiceRequest"), _text(header, "AccessionNumber")
    if not (placer or accession):
        raise RejectedError("the images have neither an accession number nor an order number: no order can be named")
    is_orm = settings.message == "orm"
    structure, event = ("ORM_O01", "ORM^O01^ORM_O01") if is_orm else ("OMG_O19", "OMG^O19^OMG_O19")
    message = Message(structure, version=_VERSION)
    _fill(message.msh, _heading(parcel, settings, event))
    _fill(message.add_group(f"{structure}_PATIENT").add_segment("PID"), _patient(header))
    order = message.add_group(f"{structure}_ORDER")
    # ORM has no TQ1: there the priority stands in ORC-7 and OBR-27, as before v2.5.
    timing = _quantity_timing(parcel, settings)
    _fill(order.add_segment("ORC"), {1: "XO", 2: placer, 3: accession, 7: timing if is_orm else ""})
    if not is_orm and "tq1" in settings.priority_in:
        _fill(order.add_group("OMG_O19_TIMING").add_segment("TQ1"), {1: "1", 9: _priority(parcel, settings)})
    in_obr = is_orm or "obr27" in settings.priority_in
    detail = (
        order.add_group("ORM_O01_ORDER_DETAIL").add_group("ORM_O01_OBRRQDRQ1RXOODSODT_SUPPGRP") if is_orm else order
    )
    request = {1: "1", 2: placer, 3: accession, 4: _procedure(header), 27: timing if in_obr else ""}
    _fill(detail.add_segment("OBR"), request)
    return str(message.to_er7())


def _heading(parcel: Parcel, settings: Hl7Settings, event: str) -> dict[int, str]:
    return {
        3: escape(settings.sending_application),
        4: escape(settings.sending_facility),
        5: escape(settings.receiving_application),
        6: escape(settings.receiving_facility),
        7: datetime.now(UTC).strftime("%Y%m%d%H%M%S+0000"),
        9: event,
        10: control_id(parcel),
        11: "P",
        18: _CHARACTER_SETS[settings.encoding],
    }


def _priority(parcel: Parcel, settings: Hl7Settings) -> str:
    return settings.urgent if is_urgent(parcel.situation) else settings.routine


def _with_priority(priority: str) -> str:
    """Return the end of the receipt of a change, by which a later answer knows what the order was given."""
    return f"; priority {priority}"


def _may_be_raised(parcel: Parcel, settings: Hl7Settings) -> bool:
    """Return whether the last change of the order that came there, or may have, raised its priority."""
    changes = [one.receipt for one in parcel.earlier if one.receipt != _LEFT_ALONE]
    return bool(changes) and not changes[-1].endswith(_with_priority(settings.routine))


def _quantity_timing(parcel: Parcel, settings: Hl7Settings) -> str:
    """Return a value of type TQ that holds the priority (its sixth component) alone."""
    return f"^^^^^{_priority(parcel, settings)}"


def _observations(parcel: Parcel) -> list[dict[int, str]]:
    """Return the fields of each OBX: the answer, volumes by type, and which objects say more."""
    job = parcel.situation.job
    answer = job.outcome
    found = [{2: "ST", 3: "113014^DICOM Study^DCM", 5: escape(job.study_uid)}]
    if job.sr_uid:
        found.append({2: "ST", 3: "SR Instance UID^SR Instance UID^L", 5: escape(job.sr_uid)})
    if parcel.replaces:
        found.append({2: "ST", 3: "SR Predecessor UID^SR Predecessor UID^L", 5: escape(parcel.replaces)})
    abnormal = "A" if answer is Outcome.PRESENT else ""
    said: dict[int, str] = {2: "ST", 3: "HEMORRHAGE^Answer^L", 5: answer.value, 8: abnormal}
    found.append(said)
    if answer in (Outcome.PRESENT, Outcome.ABSENT):
        code = _PRESENT if answer is Outcome.PRESENT else _ABSENT
        found.append({2: "CE", 3: "1386000^Intracranial hemorrhage^SCT", 5: code, 8: abnormal})
        probability = f"{values_of(parcel.situation)['probability']:.4f}"
        found.append({2: "NM", 3: "HEMORRHAGE_SCORE^Highest score^L", 5: probability})
    for kind, ml in volumes_ml(job).items():
        if ml > 0:
            name = f"118565006^Volume^SCT^{kind}^{escape(HemorrhageType(kind).display)}^L"
            found.append({2: "NM", 3: name, 5: f"{ml:.1f}", 6: "mL^milliliter^UCUM", 8: "A"})
    found += _changes(job.change)
    found.append({2: "TX", 3: "HEMORRHAGE_TEXT^Answer in words^L", 5: escape(f"{headline(job)}. {NOTICE}")})
    return found


def _identifier(fields: Mapping[int, str]) -> str:
    """Return OBX-3.1 of an observation, by which receivers tell observations apart."""
    return fields[3].partition("^")[0]


def _changes(change: Mapping[str, Any]) -> list[dict[int, str]]:
    """Return the fields of each OBX about the change since the prior CT, by type and in total; flagged where grown."""
    if not change.get("comparable"):
        return []
    grown = {one["what"] for one in change["grown_by"]}
    kinds = [kind.value for kind in HemorrhageType if change["then_ml"][kind.value] or change["now_ml"][kind.value]]
    found = []
    for what in (*kinds, TOTAL):
        name = escape(TOTAL if what == TOTAL else HemorrhageType(what).display)
        more = f"{change['difference_ml'][what]:.1f}"
        flag = "A" if what in grown else ""
        said = f"442714003^Difference in size^SCT^{what}^{name}^L"
        found.append({2: "NM", 3: said, 5: more, 6: "mL^milliliter^UCUM", 8: flag})
    code, flag = (_PRESENT, "A") if grown else (_ABSENT, "")
    return [*found, {2: "CE", 3: "15454001^Increase in size^SCT", 5: code, 8: flag}]


def _patient(header: Header) -> dict[int, str]:
    names = str(header.get("PatientName") or "").partition("=")[0].split("^")
    issuer = _text(header, "IssuerOfPatientID")
    return {
        1: "1",
        # The standard requires both; two quotes mean none.
        3: (_text(header, "PatientID") or _NONE) + (f"^^^{issuer}" if issuer else ""),
        5: "^".join(map(escape, names)).rstrip("^") or _NONE,
        7: _digits(header, "PatientBirthDate"),
        8: _text(header, "PatientSex"),
    }


def _procedure(header: Header) -> str:
    """Return OBR-4: the procedure's code if the images have one, else its description."""
    codes = header.get("ProcedureCodeSequence")
    if isinstance(codes, list) and codes and isinstance(codes[0], dict) and codes[0].get("CodeValue"):
        parts = (codes[0].get(name, "") for name in ("CodeValue", "CodeMeaning", "CodingSchemeDesignator"))
        return "^".join(escape(str(part)) for part in parts)
    return f"^{_text(header, 'StudyDescription') or 'CT head'}"


def _moment(date: str, time: str) -> str:
    """Return date and time of DICOM as HL7 writes them, to the second; empty without a date."""
    digits = re.sub(r"\D", "", time.partition(".")[0])[:6]
    return date[:8] + (digits if len(digits) in (4, 6) else "") if re.fullmatch(r"\d{8}", date[:8]) else ""


def _digits(header: Header, keyword: str) -> str:
    found = _text(header, keyword)
    return found if re.fullmatch(r"\d{8}", found) else ""


def _text(header: Header, keyword: str) -> str:
    value = header.get(keyword)
    return escape(value.strip(" \0")) if isinstance(value, str) else ""


def escape(text: str) -> str:
    """Return text that cannot split fields: HL7's escapes for its delimiters, and no control characters."""
    plain = "".join(sign if sign.isprintable() else " " for sign in text)
    return "".join(_ESCAPES.get(sign, sign) for sign in plain)


def _fill(segment: Any, fields: Mapping[int, str]) -> None:
    """Write the fields of a segment by their numbers; empty ones are left out."""
    for number, value in fields.items():
        if value:
            setattr(segment, f"{segment.name.lower()}_{number}", value)
