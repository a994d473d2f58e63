# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whether two headers with one Patient ID are about the same person.

Orthanc, like most archives, takes everybody with one Patient ID for one patient. But an ID may be a placeholder
("UNKNOWN"), may come from two hospitals that each count from 1, or may have been typed wrong. Comparing the blood of
two people would be worse than comparing nothing. So whatever contradicts is a doubt, and something beside the ID has to
agree, the birth date or the family name; a doubt means no comparison. What one of the headers does not say contradicts
nothing, and agrees with nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Final

from appliance.findings.change import Doubt

_NOBODY: Final = (
    "anonim[oa]?|anonyme?|anonym[a-z]*|anon|deidentified|default|desconocid[oa]|dummy|emergency|inconnue?|"
    "(?:john|jane)doe|doe(?:john|jane)|missing|nobody|noid|noname|nopatient|notknown|notset|onbekend|"
    "sconosciut[oa]|trauma|unbekannt|undefined|unident(?:ified)?|unkn?|unknown|unnamed|xxx+"
)
"""Words for nobody in particular, in IDs with any number behind, and in names."""
_BESIDE: Final = "patient|pat|male|female|man|woman|id|[mfxu]"
_NOBODYS_ID: Final = re.compile(
    rf"(?:{_NOBODY})(?:{_BESIDE}|{_NOBODY})*[0-9]*|(?:{_BESIDE})(?:{_NOBODY})[0-9]*|"
    "(?:patient|patientid|pat)[0-9]{0,3}|(?:empty|keine|na|nil|nn|none|null|tbd|temp|temporary|test)[0-9]{0,2}"
)
_NOBODYS_NAME: Final = re.compile(rf"(?:{_NOBODY}|doe|test)(?:{_BESIDE}|[0-9])*")
_DIGITS_IN_ORDER: Final = "01234567890123456789"
_SEXES: Final = frozenset("MF")
"""What contradicts: O (other) and anything else may stand for not known."""
_NO_BIRTH_DATES: Final = frozenset({"19000101", "00010101", "11111111", "99991231"})
"""Written where a date is required and none is known."""
_ALIKE: Final = 0.8
"""How alike two parts of a name are, 0 to 1, to count as the same, spelled otherwise."""
_SHORTENED: Final = 4
"""The fewest letters of a part that may be another part cut off."""


def is_placeholder(patient_id: str) -> bool:
    """Return whether a Patient ID stands for nobody in particular: empty, one sign repeated, digits in a row, or a word
    such as UNKNOWN with or without a number.

    A short number other than zeros is an ID: small hospitals count from 1.
    """
    plain = re.sub(r"[^0-9a-z]", "", _fold(patient_id))
    if not plain or plain.strip("0") == "":
        return not re.search(r"[^\W_0]", patient_id)  # signs of another script are an ID
    is_repeated = len(set(plain)) == 1 and len(plain) > 2
    is_in_order = len(plain) > 4 and (plain in _DIGITS_IN_ORDER or plain[::-1] in _DIGITS_IN_ORDER)
    return is_repeated or is_in_order or _NOBODYS_ID.fullmatch(plain) is not None


def doubt(now: Mapping[str, Any], then: Mapping[str, Any]) -> Doubt | None:
    """Return why two headers with one Patient ID may be about two people; None when they are about one.

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
    if not may_be_one_name(*names):
        return Doubt.OTHER_NAME
    return None if all(births) or has_family_name_in_common(*names) else Doubt.ID_ALONE


def may_be_one_name(name: str, other: str) -> bool:
    """Return whether two DICOM names may be one person's: family or given names are alike.

    So a name may change by marriage, be written in another order, without accents, or shortened. Names that cannot be
    compared (one is missing or stands for nobody, or they are in different scripts) may be.
    """
    pairs = list(_comparable(name, other))
    return not pairs or any(
        _alike(one.family, another.family)
        or _alike(one.given, another.given)
        or (_alike(one.family, another.given) and _alike(one.given, another.family))
        for one, another in pairs
    )


def has_family_name_in_common(name: str, other: str) -> bool:
    """Return whether the family names of two DICOM names are alike, in a script that both are written in."""
    return any(_alike(one.family, another.family) for one, another in _comparable(name, other))


@dataclass(frozen=True)
class _Name:
    """The parts of a person's family and given names, as written in one script."""

    family: tuple[str, ...]
    given: tuple[str, ...]

    @property
    def is_latin(self) -> bool:
        return all(map(str.isascii, (*self.family, *self.given)))


def _comparable(name: str, other: str) -> Iterator[tuple[_Name, _Name]]:
    """Yield the ways of writing of two names that can be compared: in one script, and of somebody."""
    for one in _ways(name):
        for another in _ways(other):
            if one.is_latin == another.is_latin:
                yield one, another


def _ways(name: str) -> Iterator[_Name]:
    """Yield how a name is written: in letters, ideographs and sounds (PS3.5 6.2)."""
    for way in _fold(name).split("="):
        family, given = (*way.split("^"), "", "")[:2]
        if (family.strip() or given.strip()) and not _NOBODYS_NAME.fullmatch(re.sub(r"[^\w]", "", family + given)):
            yield _Name(_parts(family), _parts(given))


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part for part in re.split(r"[\s,.'’\-]+", text) if part)


def _alike(parts: tuple[str, ...], others: tuple[str, ...]) -> bool:
    return any(_are_alike(part, other) for part in parts for other in others)


def _are_alike(part: str, other: str) -> bool:
    short, long = sorted((part, other), key=len)
    if len(short) >= _SHORTENED and long.startswith(short):
        return True
    return part == other or SequenceMatcher(None, part, other).ratio() >= _ALIKE


def _birth_date(header: Mapping[str, Any]) -> str:
    found = re.sub(r"\D", "", _text(header, "PatientBirthDate"))
    return found if len(found) == 8 and found not in _NO_BIRTH_DATES and found.strip("0") else ""


def _fold(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.strip(" \0")).casefold()
    return "".join(sign for sign in plain if not unicodedata.combining(sign))


def _text(header: Mapping[str, Any], keyword: str) -> str:
    value = header.get(keyword)
    return value.strip(" \0") if isinstance(value, str) else ""
