# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whether two headers with one Patient ID are about the same person.

Orthanc, like most archives, takes everybody with one Patient ID for one patient. But an ID may be a placeholder
("UNKNOWN"), may come from two hospitals that each count from 1, or may have been typed wrong. Comparing the blood of
two people would be worse than comparing nothing, so whatever contradicts is a doubt, and a doubt means no comparison.
What one of the headers does not say contradicts nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from difflib import SequenceMatcher
from typing import Any, Final

from appliance.findings.change import Doubt

_PLACEHOLDERS: Final = re.compile(
    "(?:anon|anonim|anonimo|anonym|anonyme|anonymi[sz]ed|anonymisiert|anonymous|deidentified|desconocido|dummy|"
    "emergency|empty|inconnu|keine|missing|na|nil|nn|noid|none|nopatientid|notset|null|onbekend|patient|patientid|"
    "sconosciuto|tbd|temp|temporary|test|trauma|unbekannt|undefined|unident|unidentified|unknown|unknownpatient)"
    "[0-9]{0,2}"
)
_SEXES: Final = frozenset("MF")
"""What contradicts: O (other) and anything else may stand for not known."""
_NO_BIRTH_DATES: Final = frozenset({"19000101", "00010101", "11111111", "99991231"})
"""Written where a date is required and none is known."""
_ALIKE: Final = 0.8
"""How alike two parts of a name are, 0 to 1, to count as the same, spelled otherwise."""


def is_placeholder(patient_id: str) -> bool:
    """Return whether a Patient ID stands for nobody in particular: empty, one sign repeated, or a word such as UNKNOWN.

    A short number other than zeros is an ID: small hospitals count from 1.
    """
    plain = re.sub(r"[^0-9a-z]", "", _fold(patient_id))
    if not plain or plain.strip("0") == "":
        return not re.search(r"[^\W_0]", patient_id)  # signs of another script are an ID
    is_repeated = len(set(plain)) == 1 and len(plain) > 2
    return is_repeated or _PLACEHOLDERS.fullmatch(plain) is not None


def doubt(now: Mapping[str, Any], then: Mapping[str, Any]) -> Doubt | None:
    """Return why two headers with one Patient ID may be about two people; None when nothing contradicts.

    Both are values by keyword, as Orthanc gives them (UTF-8).
    """
    if is_placeholder(_text(now, "PatientID")):
        return Doubt.PLACEHOLDER_ID
    issuers = [_fold(_text(one, "IssuerOfPatientID")) for one in (now, then)]
    if all(issuers) and issuers[0] != issuers[1]:
        return Doubt.OTHER_ISSUER
    births = [_birth_date(one) for one in (now, then)]
    if all(births) and births[0] != births[1]:
        return Doubt.OTHER_BIRTH_DATE
    sexes = [_text(one, "PatientSex").upper() for one in (now, then)]
    if set(sexes) <= _SEXES and sexes[0] != sexes[1]:
        return Doubt.OTHER_SEX
    names = [_text(one, "PatientName") for one in (now, then)]
    return None if may_be_one_name(*names) else Doubt.OTHER_NAME


def may_be_one_name(name: str, other: str) -> bool:
    """Return whether two DICOM names may be one person's: a part of one is like a part of the other.

    So a name may change by marriage, be written in another order, without accents, or shortened. Names that cannot be
    compared (one is missing, or they are in different scripts) may be.
    """
    parts, others = _parts(name), _parts(other)
    if not parts or not others:
        return True
    if all(map(str.isascii, parts)) != all(map(str.isascii, others)) and not _share_a_script(parts, others):
        return True
    return any(_are_alike(part, one) for part in parts for one in others)


def _are_alike(part: str, other: str) -> bool:
    if min(len(part), len(other)) == 1:  # an initial, or a name of one sign
        return part[0] == other[0]
    return part.startswith(other) or other.startswith(part) or SequenceMatcher(None, part, other).ratio() >= _ALIKE


def _share_a_script(parts: list[str], others: list[str]) -> bool:
    return any(part.isascii() for part in parts) and any(one.isascii() for one in others)


def _parts(name: str) -> list[str]:
    """Return the parts of a name, of every way in which it is written; titles of two letters or less count little."""
    found = [part for part in re.split(r"[\^=\s,.'’\-]+", _fold(name)) if part]
    longer = [part for part in found if len(part) > 2 or not part.isascii()]
    return longer or found


def _birth_date(header: Mapping[str, Any]) -> str:
    found = re.sub(r"\D", "", _text(header, "PatientBirthDate"))
    return found if len(found) == 8 and found not in _NO_BIRTH_DATES and found.strip("0") else ""


def _fold(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.strip(" \0")).casefold()
    return "".join(sign for sign in plain if not unicodedata.combining(sign))


def _text(header: Mapping[str, Any], keyword: str) -> str:
    value = header.get(keyword)
    return value.strip(" \0") if isinstance(value, str) else ""
