# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whether the text that a header gives as its contrast agent names one.

Contrast/Bolus Agent is meant to name an agent and to be empty without one, but people and scanners also write into it
that there was none, in many ways and languages. The text is cut into clauses at commas, brackets and the like, each
clause into words, and these are looked up. A "no" about something else ("no reaction", "no oral", "allergies: none") is
left out first. Then:

1. Only punctuation, a word for "unknown", an amount of zero, saline, or something taken by mouth: none was given.
2. "With and without", "pre and post": it was given.
3. A clause that affirms it decides: a well-known agent, a volume above zero or "contrast given", unless the words right
   beside deny it. "Omnipaque No. 3" and "Iomeron, allergy: none" affirm; "no Omnipaque" and "Omnipaque (not given)" do
   not.
4. A word of negation ("no", "ohne"), for a scan without contrast ("plain", "native") or for a cancelled one
   ("deferred", "contraindicated", "entfällt") says that none was given, whatever else the text says.
5. Anything else names an agent, unknown words included. A head refused for contrast is visibly unread, and a look at
   its images can lift the refusal; enhanced vessels read as a plain scan would give a wrong answer that nobody doubts.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise
from typing import Final


def _table(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Words of many languages, without their accents, in capitals.
_WITHOUT: Final = _table(
    "WITHOUT WO SANS SIN SENZA SEM SENSE SEN OHNE ZONDER SONDER UTEN UTAN UDEN BEZ БЕЗ BREZ ILMAN ILMA FARA ΧΩΡΙΣ "
    "NELKUL TANPA بدون ללא בלי"
)
_NO: Final = _table(
    "NO NON NONE NOTHING NOT NIL NULL ZERO N NEG NEGATIVE NEVER NC KEIN KEINE KEINEN KEINER KEINS KEINES KEINERLEI "
    "NEIN NICHT NICHTS AUCUN AUCUNE PAS NINGUN NINGUNO NINGUNA NADA NESSUN NESSUNO NESSUNA NIENTE NENHUM NENHUMA "
    "NAO GEEN NEE NIET INGEN INTET INGET INGA NEJ NEI EJ IKKE INTE NIE BRAK ZADEN ZADNY ZADNA ZADNE NENI NEM NINCS "
    "YOK HAYIR DEGIL EI НЕТ НЕ ΟΧΙ ΔΕΝ FALSE NEITHER WEDER NI NU ANI HVERKEN VARKEN VERKEN NIJE KHONG TIDAK لا לא"
)
_PLAIN: Final = _table(
    "PLAIN BLANCO BLANK BLANKO SIMPLE SIMPLES UNENHANCED NONENHANCED NONCONTRAST NONCONTRASTED NONCON UNCONTRASTED "
    "NECT NCCT NCE PRE PRECONTRAST UNENH NOCONTRAST NOCON NOIV OHNEKM OKM KONTRASTSIZ ILACSIZ KONTRASTFREI NONENH "
    "BASALE BASAL DIRETTO WOC SPC IVSIZ LEERSERIE LEERAUFNAHME OFF DISABLED DEACTIVATED"
)
# By how words begin: plain scans, and contrast agent that was called off.
_PLAIN_STEM: Final = re.compile(r"(?:NATI+[VF]|NATYW|НАТИВ|БЕСКОНТРАСТ|БЕЗКОНТРАСТ)\w*")
_CALLED_OFF: Final = re.compile(
    r"(?:DECLIN|REFUS|OMIT|DEFER|POSTPON|CANCEL|WITHH[EO]LD|HELD|HOLD(?:ING)?\b|LEHNT|AUSGELASS|SKIP|AVOID"
    r"|CONTR[AO]IND|KONTRAIND|KONTRENDIK|ABSEN[TCZ]|UNNECESS|NOTGIVEN|NOTUSED|UNUSED|UNGIVEN|NONUTIL"
    r"|ENTFALL|ENTFIEL|ENTF\b|VERZICHT|ABGELEHNT|ABGESAGT|VERWEIGER|WEGGELASS|UNTERBL|AUSGEFALL|VERSCHOBEN"
    r"|AUFGESCHOBEN|GEWEIGERD|VERVAL[LT]|ANNUL|RIFIUT|OMESS|OMISS|OMITID|RINVIAT|RECHAZ|RECUS|SUSPENDID"
    r"|DIFERID|DIFFERE|REPORTE|NIEPODA|NEPODA|NEAPLIK|ODMOW|ODMIT|ODLOZ|UTGAR\b|BORTFALL|AVBOJ|UDGAR\b"
    r"|ОТКАЗ|ОТМЕН|ПРОТИВОПОКАЗ|VERILMEDI|YAPILMADI|KULLANILMADI)\w*"
)
_UNKNOWN: Final = _table(
    "UNKNOWN NA UNK UNKN UNBEKANNT INCONNU DESCONOCIDO DESCONHECIDO SCONOSCIUTO ONBEKEND OKAND UKENDT UKJENT "
    "UNSPECIFIED UNSP UNDEFINED EMPTY LEER VUOTO VIDE VACIO UNAVAILABLE TBD ND NAN NVT "
    "НЕИЗВЕСТНО NEZNAMO NIEZNANY BILINMIYOR"
)
_WITH: Final = _table("WITH W AVEC MIT MET POST")
# Before these words "post" says after what; it says nothing about contrast agent.
_AFTER_WHAT: Final = re.compile(
    r"(?:OP|OPER\w*|OPS|SURG\w*|TRAUM\w*|CRANI\w*|EVAC\w*|STROKE|ICTAL|PARTUM|FALL|DRAIN\w*)"
)
# With a "no" before them, or a "none" after them, these words say nothing about contrast agent in the veins.
_BESIDE_THE_POINT: Final = re.compile(
    r"(?:REACTI|REAKTI|REAKC|REACC|REACÇ|REAZION|REACOE|REACTIE|РЕАКЦ|ALLERG|ALERG|АЛЛЕРГ|COMPLI[CK]|KOMPLI[CK]|POWIKLA"
    r"|ОСЛОЖН|EXTRAVAS|PARAVAS|PROBLEM|ISSUE|ADVERSE|NEBENWIRK|BIVIRK|BIJWERK|EFFET|EFECTO|EFFETT|INCID|EVENT|DELAY"
    r"|PREMED|PREDNI|HYDRAT|SEDAT|DIABET|METFORMIN|PREGNAN|SCHWANG|DILUT|PRESERV)\w*"
)
_ATTRIBUTES: Final = _table(
    "KNOWN PREVIOUS PRIOR ANY ALLERGIC SIDE IMMEDIATE ACUTE LATE SERIOUS SIGNIFICANT OBVIOUS FURTHER BEKANNTE BEKANNTEN"
)
_OR: Final = _table("OR AND NOR ODER UND ET OU O NI NE NOCH ANI ELLER OF EN Y E")
# Iodinated agents, and those of MR that have served, by substance and brand, by how the names begin.
_AGENT: Final = re.compile(
    r"(?:IO(?:HEX|PAM|DIX|VERS|PROM|MEPR|BITR|XAGL|XIL|TROL|MER|PENT)|OMNIPAQ|VISIPAQ|ISOVUE|OPTIRAY|ULTRAVIST|IMERON"
    r"|XENETIX|ACCUPAQ|SOLUTRAST|HEXABRIX|OXILAN|CONRAY|TELEBRIX|NIOPAM|IVERSOL|JOPAM|GADO|GADAV|MAGNEVIST|DOTAREM)\w*"
)
_CONTRAST: Final = re.compile(r"(?:[CK]ONTRAST\w*|КОНТРАСТ\w*|KM|MDC|DYE|AGENT|IV|PRODUIT|INJECTION|INJEKTION|MEDIUM)")
_NOT: Final = _table("NOT NICHT PAS NEVER NIE NIET EJ IKKE INTE NON NO NAO НЕ")
_GIVEN: Final = re.compile(
    r"(?:GIVEN|GIVE|ADMIN|USED|INJ|APPLI|GEGEB|VERABR|DONN|GEGEV|TOEGED|PODA|GITT|GIVET|SOMMIN|UTILI|USAT|USAD|VERWEND"
    r"|BENUTZ|ВВОД|ВВЕД|RECEIVED|NEEDED|REQUIRED|INDIC|INDIZ|NECESS|PERFORMED|DONE|DADO|ERFORD|NOTIG|NODIG)\w*"
)
_YES: Final = _table("YES JA OUI SIM ДА EVET ANO JES")
# Words that deny what precedes them, not what follows.
_DENY_BACKWARDS: Final = _table("NONE NIL NULL ZERO N NEG NEGATIVE FALSE")
_LABELS: Final = _table(
    "CONTRAST KONTRAST CONTRASTE CONTRASTO KONTRASTMITTEL AGENT BOLUS VOLUME VOL DOSE AMOUNT IV KM CM MDC MEDIUM MEDIA "
    "TYPE NAME USED GIVEN ML CC"
)
_SALINE: Final = _table("SALINE NACL NS NORMAL SODIUM CHLORIDE WATER KOCHSALZ FLUSH CHASER SERUM")
# Scripts without spaces between words: any of these in the text, once remarks on the patient are out.
_UNSPACED: Final = (
    *("无", "無", "未", "非", "否", "不", "没有", "沒有", "平扫", "平掃", "なし", "単純", "せず"),
    *("없음", "비조영", "미사용", "안함", "단순", "조영전", "单纯", "單純", "普通扫", "普通掃", "ไม"),
)
_UNSPACED_REMARKS: Final = re.compile(
    r"(?:未见|未見|无|無|没有|沒有)(?:明显|明顯)?(?:不良反[应應]|过敏史?|過敏史?|副作用|外渗|外滲|并发症|合併症)"
    r"|(?:アレルギー歴?|副作用|過敏症?|过敏史?|合併症|不良反[应應])[:： ]*(?:なし|無し?|无)"
    r"|(?:부작용|알레르기|이상반응)\s*(?:없음|무)"
)

BY_MOUTH: Final = _table("ORAL ORALLY PO MOUTH PEROS OS RECTAL RECTALLY RECTUM ENTERAL NASOGASTRIC ENEMA")
INTO_THE_BLOOD: Final = _table("IV INTRAVENOUS INTRAVENOUSLY VEIN VENOUS IA ARTERIAL INTRAARTERIAL")
_TAKEN_BY_MOUTH: Final = re.compile(r"(?:GASTROGR|GASTROVI|BARIUM|BARYT|READICAT|MICROPAQ)\w*")

_NON_IONIC: Final = re.compile(r"\b(?:NON?|NICHT)[\s_-]*IONI(?:C|CO|CA|QUE|SCH\w*|S)\b|非离子|非離子|非イオン|비이온")
_AGENT_SIGN: Final = r"(?:C|CE|IV|PO|KM|CM|MC|MDC|PC|CONTRAST\w*|KONTRAST\w*)"
_WITH_TOO: Final = "(?:CON|COM|MED|С)"
_WITHOUT_TOO: Final = "(?:SIN|SENZA|SEM|UTEN|UDEN|UTAN|БЕЗ)"
_AND: Final = "(?:Y|E|OG|OCH|O|И)"
_BOTH: Final = " WITH AND WITHOUT "
# A plain scan and one with contrast agent: "nativ, dann KM", "native and venous", but not "nativ, KM: nein".
_NATIVE: Final = r"\b(?:NATI+[VF]\w*|NATYW\w*|PLAIN|UNENHANCED|NON?[\s-]?CONTRAST)"
_THEN_ENHANCED: Final = (
    r"(?:(?:MIT|WITH|I\.?V\.?-?)\s*)?(?:KM|CONTRAST|KONTRAST|ENHANCED|VENOUS|VENOS\w*|ARTERI\w*)\b"
    r"(?!\W*(?:N(?:EIN|O|OT|ONE|ICHT|IL)|KEIN\w*|0)\b|\s*[:=]?\s*-|\W*\w*(?:CONTR|KONTR)AINDI|\W*(?:DEFER|DECLIN|REFUS|ABGELEHNT))"
)
_SIGNS: Final = (
    (re.compile(r"\bN[O°]?\s*\.?\s*(?=[1-9])"), " NUMBER "),
    (re.compile(r"\bN\s*[/.]\s*A\b"), " NA "),
    (re.compile(r"\bN\s*[/.]\s*D\b|\bK\s*\.\s*A\b"), " ND "),
    (re.compile(r"\bN\s*\.\s*V\s*\.\s*T\b"), " NVT "),
    (re.compile(r"\bW\s*[/.\\]\s*O(?:UT|C)?\b"), " WITHOUT "),
    (re.compile(r"\bW\s+O\b"), " WITHOUT "),
    (re.compile(r"\bW\s*/"), " WITH "),
    # "With and without" in languages whose "with" has other meanings too.
    (re.compile(rf"\b{_WITH_TOO}\b\W+{_AND}\W+{_WITHOUT_TOO}\b|\b{_WITHOUT_TOO}\b\W+{_AND}\W+{_WITH_TOO}\b"), _BOTH),
    (re.compile(r"\b(?:VOR UND NACH|AVANT ET APRES|BEFORE AND AFTER|ANTES Y DESPUES|PRIMA E DOPO)\b"), _BOTH),
    (re.compile(rf"{_NATIVE}\s*(?:,?\s*(?:UND|AND|ET|DANN|THEN)\b|[/&,;])\s*{_THEN_ENHANCED}"), _BOTH),
    # Abbreviations of other languages: o. KM, s/ contraste, u/ kontrast, b/k.
    (re.compile(r"\bO\s*[./]\s*(?=KM\b|[KC]ONTRAST|IV\b)|\bO\s+(?=KM\b)"), " OHNE "),
    (re.compile(r"\bBE\s+(?=KONTRASTO\b)"), " BEZ "),
    (re.compile(r"\bS\s*/\s*(?:C\b|CTE\b|CIV\b|MDC\b|(?=CONTRAST))|^\W*S\s*\.?\s*C\W*$"), " SIN "),
    (re.compile(r"\bK\s*[./]\s*(?=KM\b)"), " KEIN "),
    (re.compile(r"\b[UB]\s*/\s*(?:K\b|(?=KONTRAST|KM\b))"), " BEZ "),
    (re.compile(r"\bHAND[\s-]*HELD\b"), " HANDHELD "),
    (re.compile(r"\b[CK]ONTR[AEO][\s-]+IND[IY](?=\w)"), " CONTRAINDI"),
    (re.compile(r"\b(?:P\s*\.\s*O|PER\s+OS)\b"), " PO "),
    (re.compile(r"\bI\s*\.\s*V\b"), " IV "),
    (re.compile(r"\bZ\s*\.\s*B\b|\bE\s*\.\s*G\b|\bI\s*\.\s*E\b"), " "),
    # A sign after an abbreviation for contrast agent: C-, KM -, C+, (-), +.
    (re.compile(rf"(?<!\w){_AGENT_SIGN}(?:-(?!\w)|\s*[:=]?\s*-(?!\s*\w))"), " WITHOUT "),
    (re.compile(r"(?<!\w)-\s*(?:C|CE|IV|KM|CM|MC|MDC)\b"), " WITHOUT "),
    (re.compile(r"\(\s*-\s*\)"), " WITHOUT "),
    (re.compile(r"\+"), " WITH "),
    (re.compile(r"\b(ORAL|PO|RECTAL|IV)\s*[/&]\s*(?=(?:ORAL|PO|RECTAL|IV)\b)"), r"\1 OR "),
)
_VOICED: Final = "\u3099\u309a"
"""Marks that make other letters of Japanese ones, where an accent leaves the letter what it is."""
_DASHES: Final = re.compile(r"[\u2010-\u2015\u2212\uff0d]")
_CLAUSE: Final = re.compile(r"[;()\[\]|\n\\]|,(?!\d)|\.(?=\s|$)|\s-\s|、|。|，")
_WASTED: Final = r"(?:WAST|DISCARD|LEFTOVER|RESIDU|VERWORFEN|REST\b)\w*"
_NOTHING_ML: Final = r"(?<![\d.,])0+(?:[.,]0+)?\s*(?:MLS?|CCS?)\b"
_WASTE: Final = re.compile(rf"{_NOTHING_ML}\s*{_WASTED}|\b{_WASTED}\s*[:=]?\s*{_NOTHING_ML}")
"""What was thrown away of an agent is no volume of it."""
_NO_VOLUME: Final = re.compile(r"(?<![\d.,])0+(?:[.,]0+)?\s*(?:MLS?|CCS?|CM3|L|MG|G|UNITS?)\b")
_VOLUME: Final = re.compile(r"(?<![\d.,])\d*[1-9]\d*(?:[.,]\d+)?\s*(?:MLS?|CCS?|CM3)\b")
_ZERO: Final = re.compile(r"0+")
_WORD: Final = re.compile(r"[^\W_]+")


def names_agent(text: str) -> bool:
    """Return whether the text of an agent names one, by the rules at the top."""
    spaced = _WASTE.sub(" ", _spell_out(text))
    if _NO_VOLUME.search(spaced) and not _VOLUME.search(spaced):
        return False
    parts = [_Clause(part) for part in _CLAUSE.split(spaced)]
    clauses = [clause for clause in parts if clause.words]
    words = {word for clause in clauses for word in clause.words}
    if not words:  # "no reaction" tells of a scan with agent, as "no oral" does not
        return any(clause.has_remark for clause in parts)
    told = words - _LABELS
    if told and (told <= _UNKNOWN or all(_ZERO.fullmatch(word) for word in told)):
        return False
    if any(sign in spaced for sign in _UNSPACED) or all(clause.is_elsewhere for clause in clauses):
        return False
    if any(clause.is_both for clause in clauses):
        return True
    if any(clause.affirms(after) for clause, after in pairwise([*clauses, None]) if clause is not None):
        return True
    return not any(clause.denies for clause in clauses)


def spoken_words(text: str) -> frozenset[str]:
    """Return the words of a text in capitals, without accents; signs with a meaning become words."""
    return frozenset(_WORD.findall(_spell_out(text)))


class _Clause:
    """The words between two commas, without remarks about something else."""

    def __init__(self, text: str) -> None:
        self.has_volume = _VOLUME.search(text) is not None
        words = _WORD.findall(text)
        self.words = _leave_out_remarks(words)
        self.has_remark = any(map(_BESIDE_THE_POINT.fullmatch, words))

    @property
    def denies(self) -> bool:
        """Whether it says that none was given."""
        return any(map(_denies, self.words))

    @property
    def is_both(self) -> bool:
        """Whether it speaks of a scan without and one with contrast agent."""
        without = any(word in _WITHOUT | _PLAIN or _PLAIN_STEM.fullmatch(word) for word in self.words)
        return without and any(
            word in _WITH and not (after in _NO | BY_MOUTH or _AFTER_WHAT.fullmatch(after))
            for word, after in pairwise([*self.words, ""])
        )

    @property
    def is_elsewhere(self) -> bool:
        """Whether it speaks only of something taken by mouth, or of saline."""
        if set(self.words) & INTO_THE_BLOOD:
            return False
        by_mouth = any(
            (word in BY_MOUTH or _TAKEN_BY_MOUTH.fullmatch(word)) and not _denies(before)
            for before, word in pairwise(["", *self.words])
        )
        left = {word for word in self.words if not word[0].isdigit()} - _LABELS
        return by_mouth or bool(left and left <= _SALINE)

    def affirms(self, after: _Clause | None) -> bool:
        """Return whether it says that agent was given; `after` is the clause that follows, which may deny it."""
        if self.is_elsewhere:
            return False
        denied_later = after is not None and after.calls_off
        if any(_AGENT.fullmatch(word) and not self._is_denied(at) for at, word in enumerate(self.words)):
            return not denied_later
        if self.denies or denied_later:
            return False
        speaks_of_it = any(map(_CONTRAST.fullmatch, self.words))
        given = any(word in _YES or _GIVEN.fullmatch(word) for word in self.words)
        return (self.has_volume and not set(self.words) & _SALINE) or (speaks_of_it and given)

    @property
    def calls_off(self) -> bool:
        """Whether it denies what the clause before it named: "not given", "none", "patient declined"."""
        if self.is_elsewhere:
            return False
        first, then = (*self.words, "", "")[:2]
        starts = first in _DENY_BACKWARDS or (first in _NOT and bool(_GIVEN.fullmatch(then) or not then))
        return starts or any(
            _CALLED_OFF.fullmatch(word) and before not in _NOT for before, word in pairwise(["", *self.words])
        )

    def _is_denied(self, at: int) -> bool:
        """Return whether the words right beside an agent's name say that it was not given, or only of an allergy."""
        before = self.words[max(0, at - 2) : at]
        if any(_denies(word) and word not in _DENY_BACKWARDS for word in before):
            return True
        if any(word.startswith(("ALLERG", "ALERG")) for word in before):
            return True
        after, then = ([word for word in self.words[at + 1 :] if not word[0].isdigit()] + ["", ""])[:2]
        if after in _DENY_BACKWARDS - {"N"} or _CALLED_OFF.fullmatch(after):
            return True
        return after in _NOT and bool(_GIVEN.fullmatch(then) or not then)


def _denies(word: str) -> bool:
    return (
        word in _WITHOUT
        or word in _NO
        or word in _PLAIN
        or _PLAIN_STEM.fullmatch(word) is not None
        or _CALLED_OFF.fullmatch(word) is not None
    )


def _spell_out(text: str) -> str:
    """Return a text in capitals, without accents, with one kind of dash and words for signs."""
    apart = unicodedata.normalize("NFKD", text.upper())
    whole = "".join(sign for sign in apart if sign in _VOICED or not unicodedata.combining(sign))
    plain = _DASHES.sub("-", unicodedata.normalize("NFC", whole)).replace("Ł", "L").replace("Ø", "O")
    plain = _UNSPACED_REMARKS.sub(" ", _NON_IONIC.sub(" NONIONIC ", plain))
    for sign, word in _SIGNS:
        plain = sign.sub(word, plain)
    return plain


def _leave_out_remarks(words: list[str]) -> list[str]:
    """Return the words of a clause without a "no" about something else, and what that is about."""
    kept: list[str] = []
    at = 0
    while at < len(words):
        of = at + 1
        while of < len(words) and (words[of] in _ATTRIBUTES or _CONTRAST.fullmatch(words[of])) and words[of] != "IV":
            of += 1
        after, then = (*words[of : of + 2], "", "")[:2]
        # "No oral or IV contrast" is about both; "without oral" may not be about contrast agent at all.
        by_mouth = after in BY_MOUTH and then not in _OR and words[at] not in _WITHOUT
        if words[at] in _NO | _WITHOUT and (by_mouth or _BESIDE_THE_POINT.fullmatch(after)):
            at = of + 1
        elif _is_remark(words[at:]):
            break
        else:
            kept.append(words[at])
            at += 1
    return kept


def _is_remark(words: list[str]) -> bool:
    """Return whether the rest of a clause is a remark with its answer: "allergies none", "oral no"."""
    *what, answer = words
    about = what and (what[0] in BY_MOUTH or _BESIDE_THE_POINT.fullmatch(what[0]))
    return bool(about) and len(what) <= 2 and (answer in _NO or answer in _YES)
