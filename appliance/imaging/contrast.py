# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whether contrast agent was given, as far as the header's own attributes say (not its descriptions).

Contrast/Bolus Agent is meant to name an agent and to be empty without one, but people and scanners write into it that
there was none, in many ways. The text is taken apart into words, and these are looked up:

1. Nothing but punctuation, a word for "unknown", or an amount of zero says that none was given.
2. A word of negation ("no", "without", "ohne") or a word for a scan without contrast ("plain", "native") says so too,
   whatever else stands there, unless it negates something else ("non-ionic", "no reaction", "no oral").
3. "With and without" says that it was given.
4. A well-known agent that is named was given, unless the words right beside it deny it: "Omnipaque No. 3" and
   "Iomeron, allergy: none" name one, "no Omnipaque" and "Omnipaque not given" do not.
5. Anything else names an agent. Words that nobody knows count as one: a head that is refused for contrast is seen to be
   unread, and a look at its images can lift that refusal, while enhanced vessels that are read as a plain scan make a
   wrong answer that nobody doubts.

A volume above zero says that agent was given. A volume of zero says nothing: scanners fill it in when nobody did.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from pydicom import Dataset
from pydicom.sequence import Sequence

from appliance.imaging.header import number, texts


def _table(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Words of many languages, without their accents, in capitals.
_WITHOUT: Final = _table(
    "WITHOUT WO SANS SIN SENZA SEM OHNE ZONDER UTEN UTAN UDEN BEZ БЕЗ BREZ ILMAN FARA ΧΩΡΙΣ NELKUL"
)
_NO: Final = _table(
    "NO NON NONE NOT NIL NULL ZERO N NEG NEGATIVE NEVER NC KEIN KEINE KEINEN KEINER NEIN NICHT NICHTS AUCUN AUCUNE "
    "PAS NINGUN NINGUNO NINGUNA NADA NESSUN NESSUNO NESSUNA NIENTE NENHUM NENHUMA NAO GEEN NEE NIET INGEN INTET INGET "
    "NEJ NEI INTE NIE BRAK ZADEN ZADNY NENI NEM NINCS YOK HAYIR EI НЕТ НЕ ΟΧΙ FALSE DECLINED REFUSED OMITTED"
)
_PLAIN: Final = _table(
    "PLAIN NATIVE NATIV NATIVO NATIVA NATIF NATIVES НАТИВ НАТИВНО BLANCO SIMPLE UNENHANCED NONENHANCED NONCONTRAST "
    "NONCONTRASTED NONCON UNCONTRASTED NECT NCCT NCE PRECONTRAST PRE UNENH NOCONTRAST NOCON NOIV"
)
_UNKNOWN: Final = _table(
    "UNKNOWN NA UNK UNKN UNBEKANNT INCONNU DESCONOCIDO DESCONHECIDO SCONOSCIUTO ONBEKEND OKAND UKENDT UNSPECIFIED "
    "UNDEFINED UNAVAILABLE TBD НЕИЗВЕСТНО"
)
_WITH: Final = _table("WITH W AVEC MIT MET POST")
# What a "no" before it says nothing of contrast agent in the veins.
_BESIDE_THE_POINT: Final = _table(
    "REACTION REACTIONS ALLERGY ALLERGIES COMPLICATION COMPLICATIONS EXTRAVASATION PROBLEM PROBLEMS ISSUE ISSUES "
    "ADVERSE PREMEDICATION ORAL PO RECTAL ENTERAL REAKTION REAKTIONEN KOMPLIKATION KOMPLIKATIONEN"
)
_ATTRIBUTES: Final = _table("KNOWN PREVIOUS PRIOR ANY ALLERGIC")
_OR: Final = _table("OR AND NOR ODER ET OU O")
# Iodinated agents by substance and brand, by how the names begin.
_AGENT: Final = re.compile(
    r"(?:IO(?:HEX|PAM|DIX|VERS|PROM|MEPR|BITR|XAGL|XIL|TROL|MER|PENT)|OMNIPAQ|VISIPAQ|ISOVUE|OPTIRAY|ULTRAVIST|IMERON"
    r"|XENETIX|ACCUPAQ|SOLUTRAST|HEXABRIX|OXILAN|CONRAY|TELEBRIX|NIOPAM|IVERSOL)\w*"
)
_NOT: Final = _table("NOT NICHT PAS NEVER NIE")
_GIVEN: Final = _table("GIVEN ADMINISTERED USED INJECTED APPLIED GEGEBEN VERABREICHT INJECTE DONNE")
# Words that deny what stands before them, and not what comes after.
_DENY_BACKWARDS: Final = _table("NONE NIL NULL ZERO N NEG NEGATIVE FALSE DECLINED REFUSED OMITTED")
# Scripts without spaces between words: any of these in the text.
_UNSPACED: Final = ("无", "無", "未", "非", "否", "平扫", "平掃", "なし", "単純", "없음", "비조영")

_BY_MOUTH: Final = _table("ORAL ORALLY PO MOUTH PEROS OS RECTAL RECTALLY RECTUM ENTERAL NASOGASTRIC ENEMA")
_INTO_THE_BLOOD: Final = _table("IV INTRAVENOUS INTRAVENOUSLY VEIN VENOUS IA ARTERIAL INTRAARTERIAL")

_NON_IONIC: Final = re.compile(r"\b(?:NON?|NICHT)[\s_-]*IONI(?:C|CO|CA|QUE|SCH\w*|S)\b|非离子|非離子|非イオン|비이온")
_SIGNS: Final = (
    (re.compile(r"\bN\s*[/.]\s*A\b"), " NA "),
    (re.compile(r"\bW\s*[/.\\]\s*O(?:UT)?\b"), " WITHOUT "),
    (re.compile(r"\bW\s+O\b"), " WITHOUT "),
    (re.compile(r"\bW\s*/"), " WITH "),
    (re.compile(r"\b(?:P\s*\.\s*O|PER\s+OS)\b"), " PO "),
    (re.compile(r"\bI\s*\.\s*V\b"), " IV "),
    # A sign on what stands for contrast agent: C-, KM -, C+, (-), +.
    (re.compile(r"(?<!\w)(?:C|CE|IV|KM|CM|MC|MDC|PC|CONTRAST\w*|KONTRAST\w*)\s*-(?![\s]*\w)"), " WITHOUT "),
    (re.compile(r"(?<!\w)-\s*(?:C|CE|IV|KM|CM|MC|MDC)\b"), " WITHOUT "),
    (re.compile(r"\(\s*-\s*\)"), " WITHOUT "),
    (re.compile(r"\+"), " WITH "),
)
_DASHES: Final = re.compile(r"[\u2010-\u2015\u2212\uff0d]")
_NO_VOLUME: Final = re.compile(r"(?<![\d.,])0+(?:[.,]0+)?\s*(?:ML|CC|CM3|L|MG|G)\b")
_VOLUME: Final = re.compile(r"(?<![\d.,])\d*[1-9]\d*(?:[.,]\d+)?\s*(?:ML|CC|CM3)\b")
_ZERO: Final = re.compile(r"[\s.,]*0[0.,\s]*")
_WORD: Final = re.compile(r"[^\W_]+")


def contrast_given(header: Dataset) -> bool:
    """Return whether the header says that contrast agent went into the blood (or the cerebrospinal fluid).

    By Contrast/Bolus Agent or its sequence, unless what they say is that there was none, or by a positive volume; agent
    given by mouth or rectum does not count, as it is not seen in a head.
    """
    routes = {word for route in _routes(header) for word in _words(route)}
    if routes & _BY_MOUTH and not routes & _INTO_THE_BLOOD:
        return False
    return any(_names_agent(agent) for agent in _agents(header)) or any(volume > 0 for volume in _volumes(header))


def _agents(header: Dataset) -> Iterator[str]:
    yield " ".join(texts(header, "ContrastBolusAgent"))
    for item in _items(header, "ContrastBolusAgentSequence"):
        yield " ".join(texts(item, "CodeMeaning") or texts(item, "CodeValue"))


def _routes(header: Dataset) -> Iterator[str]:
    yield " ".join(texts(header, "ContrastBolusRoute"))
    for place in (header, *_items(header, "ContrastBolusAgentSequence")):
        for item in _items(place, "ContrastBolusAdministrationRouteSequence"):
            yield " ".join(texts(item, "CodeMeaning"))


def _volumes(header: Dataset) -> Iterator[float]:
    places = (
        header,
        *_items(header, "ContrastBolusAgentSequence"),
        *_items(header, "ContrastAdministrationProfileSequence"),
    )
    for place in places:
        for keyword in ("ContrastBolusVolume", "ContrastBolusTotalDose"):
            yield number(place, keyword) or 0.0


def _items(header: Dataset, keyword: str) -> tuple[Dataset, ...]:
    value = header.get(keyword)
    return tuple(value) if isinstance(value, Sequence) else ()


def _plain(text: str) -> str:
    """Return a text in capitals, without accents, with one kind of dash."""
    whole = "".join(sign for sign in unicodedata.normalize("NFKD", text.upper()) if not unicodedata.combining(sign))
    return _DASHES.sub("-", unicodedata.normalize("NFC", whole))


def _words(text: str) -> list[str]:
    """Return the words of a text; signs that stand for words are words."""
    plain = _NON_IONIC.sub(" NONIONIC ", _plain(text))
    for sign, word in _SIGNS:
        plain = sign.sub(word, plain)
    return _WORD.findall(plain)


def _names_agent(text: str) -> bool:
    """Return whether the text of an agent names one, by the rule at the top."""
    plain = _NON_IONIC.sub(" NONIONIC ", _plain(text))
    no_volume = _NO_VOLUME.search(plain) and not _VOLUME.search(plain)
    if no_volume or _ZERO.fullmatch(plain) or any(sign in plain for sign in _UNSPACED):
        return False
    words = _without_side_remarks(_words(text))
    if set(words) <= _UNKNOWN or (set(words) <= _BY_MOUTH):
        return False
    if set(words) & _WITHOUT and any(word in _WITH and after not in _NO | _BY_MOUTH for word, after in _pairs(words)):
        return True
    named = [at for at, word in enumerate(words) if _AGENT.fullmatch(word)]
    if named:
        return any(not _is_denied(words, at) for at in named)
    return not set(words) & (_WITHOUT | _NO | _PLAIN)


def _is_denied(words: list[str], at: int) -> bool:
    """Return whether the words right beside an agent's name say that it was not given."""
    if set(words[max(0, at - 2) : at]) & ((_WITHOUT | _NO) - _DENY_BACKWARDS):
        return True
    after, then = ([word for word in words[at + 1 :] if not word.isdigit()] + ["", ""])[:2]
    return after in _DENY_BACKWARDS - {"N"} or (after in _NOT and then in _GIVEN | {""})


def _without_side_remarks(words: list[str]) -> list[str]:
    """Return the words without a "no" that speaks of something else, and what it speaks of."""
    kept: list[str] = []
    at = 0
    while at < len(words):
        of = at + 1
        while of < len(words) and words[of] in _ATTRIBUTES:
            of += 1
        after, then = (*words[of : of + 2], "", "")[:2]
        # "No oral or IV contrast" speaks of both, "without oral" of what may be no contrast agent at all.
        aside = after in _BESIDE_THE_POINT and not (after in _BY_MOUTH and (then in _OR or words[at] in _WITHOUT))
        if words[at] in _NO | _WITHOUT and aside:
            at = of + 1
        else:
            kept.append(words[at])
            at += 1
    return kept


def _pairs(words: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each word with the one after it, "" at the end."""
    yield from pairwise([*words, ""])
