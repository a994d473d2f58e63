# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Text of other systems, as far as it may stand in log, ledger and status: short, and without the study's patient."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

_LONGEST: Final = 200
_MASK: Final = "***"
_ANYWHERE: Final = 4
"""A part of a name or number that is this long is masked inside words too."""


def quote_foreign(text: str, header: Mapping[str, Any]) -> str:
    """Return at most 200 printable characters of a text, with the name, ID and birth date in `header` masked."""
    plain = "".join(sign if sign.isprintable() else " " for sign in text)
    for pattern in _patterns(header):
        plain = pattern.sub(_MASK, plain)
    plain = " ".join(plain.split())
    return plain if len(plain) <= _LONGEST else plain[: _LONGEST - 1] + "…"


def origin(url: str) -> str:
    """Return scheme, host and port of a URL: the path may be a secret, as those of Slack and Teams are."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")


def _patterns(header: Mapping[str, Any]) -> Iterator[re.Pattern[str]]:
    """Yield what finds the patient in a text, the longest first."""
    words = {*re.split(r"[\^=\s,]+", _text(header, "PatientName"))}
    for keyword in ("PatientID", "OtherPatientIDs"):
        whole = _text(header, keyword)
        words |= {whole, *whole.split("\\"), whole.lstrip("0"), *re.split(r"\W+", whole)}
    for word in sorted(words - {""}, key=lambda one: (-len(one), one)):
        # Another character set may have made anything of a letter that is not ASCII: the others tell a Latin name.
        is_latin = sum(sign.isascii() for sign in word) >= 2
        signs = "".join(r"\S{1,3}" if is_latin and not sign.isascii() else re.escape(sign) for sign in word)
        inside = len(word) >= _ANYWHERE
        yield re.compile(signs if inside else rf"(?<![^\W_]){signs}(?![^\W_])", re.IGNORECASE)
    born = re.fullmatch(r"(\d{4})(\d\d)(\d\d)", _text(header, "PatientBirthDate"))
    if born:
        year, month, day = born.groups()
        month, day = (f"0?{number.lstrip('0')}" for number in (month, day))
        part = r"[-./ ]?"
        for order in ((year, month, day), (day, month, year), (month, day, year)):
            yield re.compile(rf"(?<!\d){part.join(order)}(?!\d{{3}})")


def _text(header: Mapping[str, Any], keyword: str) -> str:
    value = header.get(keyword)
    return value.strip(" \0") if isinstance(value, str) else ""
