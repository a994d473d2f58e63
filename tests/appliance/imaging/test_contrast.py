# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What the attributes of a header say of contrast agent."""

from __future__ import annotations

import pytest
from pydicom import Dataset

from appliance.imaging.contrast import contrast_given

NONE = (
    ["", " ", "-", "--", ".", "/", "?", "*", "0", "00", "0.0", "0,0", "0ml", "0 ML", "0.0 cc", "OMNIPAQUE 350 0 ML"],
    ["N", "NO", "NON", "NONE", "NIL", "NULL", "NOT", "NC", "N.C.", "NEG", "Negative", "N/A", "n.a.", "NA", "N / A"],
    ["C-", "c -", "-C", "C −", "(-)", "KM-", "KM -", "iv-", "CE-", "C-/", "CONTRAST -"],
    [
        "NON-CONTRAST",
        "NON CONTRAST",
        "NONCONTRAST",
        "Non-con",
        "no con",
        "NO CONTRAST",
        "no_contrast",
        "NO IV CONTRAST",
    ],
    ["W/O CONTRAST", "w/o", "WO", "W.O.", "WO IV CON", "WITHOUT", "Without IV contrast", "with no contrast", "w/o c"],
    ["NONE GIVEN", "Not given", "NOT ADMINISTERED", "no contrast given", "OMNIPAQUE NOT GIVEN", "NO OMNIPAQUE"],
    ["PLAIN", "Native", "NATIV", "nativo", "natif", "UNENHANCED", "non-enhanced", "pre contrast", "NECT", "SIMPLE"],
    ["OHNE", "ohne KM", "kein KM", "SANS", "sans injection", "SIN CONTRASTE", "sin civ", "SENZA MDC", "senza mezzo"],
    [
        "sem contraste",
        "zonder",
        "geen contrast",
        "utan kontrast",
        "UTEN",
        "uden",
        "bez kontrastu",
        "БЕЗ контраста",
        "нет",
    ],
    ["aucun", "ninguno", "nessuno", "não", "ingen", "brak", "nincs", "yok", "无", "平扫", "なし", "単純", "없음"],
    ["UNKNOWN", "unk", "Unbekannt", "INCONNU", "unspecified", "NOT KNOWN", "not applicable", "refused", "TBD"],
    [
        "ORAL",
        "P.O.",
        "per os",
        "Oral only no IV",
        "no oral",
        "NO IV, ORAL CONTRAST",
        "W/O IV AND ORAL",
        "without IV with oral",
    ],
    ["W/OUT CONTRAST", "w/out", "W O CONTRAST", "UNENH", "NOCONTRAST", "NOIV", "no oral or IV contrast"],
    [
        "no Omnipaque",
        "without IV Iohexol",
        "Omnipaque not given",
        "Isovue 370: declined",
        "Iopromide/none",
        "ohne Imeron",
    ],
    ["without oral or IV contrast", "without contrast, no known allergies", "no contrast due to previous reaction"],
)
GIVEN = (
    ["非离子", "低渗 非离子型 碘海醇", "非離子型", "イオパミドール 非イオン性"],
    ["Omnipaque without reaction", "Isovue w/o complications", "Ultravist ohne Komplikationen"],
    ["Omnipaque, no known allergies", "no previous reaction, Omnipaque", "Iomeron 100 ML, NaCl 0 ML"],
    ["Omnipaque No. 3", "IOHEXOL 300, Lot N 123", "Omnipaque (no preservatives)", "Ultravist, not diluted"],
    ["Omnipaque (allergy: none)", "Iomeron 350 N", "Omnipaque w/o oral", "premedication none; Isovue 370"],
    ["OMNIPAQUE 350", "omnipaque", "IOHEXOL", "Ultravist 370", "IOMERON", "Iopamidol 61%", "VISIPAQUE 320 100 ML"],
    ["YES", "Y", "C+", "+C", "C +", "+", "(+)", "KM+", "WITH", "W/", "W CONTRAST", "with contrast", "mit KM", "avec"],
    ["70 ML", "70ML", "100 cc", "350", "0.5 ML/KG", "10 ML", "1.0 L", "CONTRAST", "IV", "i.v. contrast", "Iodine"],
    ["NON-IONIC", "nonionic iodinated", "NON IONIC OMNIPAQUE", "nicht-ionisch", "non ionique", "iodado no iónico"],
    ["OMNIPAQUE NO REACTION", "ISOVUE 370 no allergies", "no oral, IV omnipaque 350", "no complications, Iomeron"],
    [
        "WITH AND WITHOUT",
        "W/WO",
        "W & W/O",
        "W/W/O",
        "C-/C+",
        "C+/C-",
        "mit und ohne",
        "avec et sans",
        "pre and post w/o",
    ],
    [
        "GADOVIST",
        "DIATRIZOATE NA",
        "Gd-DTPA",
        "XENETIX 300",
        "JOPAMIRON",
        "造影剂",
        "造影",
        "some words that nobody knows",
    ],
)


@pytest.mark.parametrize("agent", [text for group in NONE for text in group])
@pytest.mark.parametrize("volume", [None, "", 0])
def test_ways_to_write_that_there_was_none_are_understood(agent: str, volume: object) -> None:
    header = Dataset()
    header.ContrastBolusAgent = agent
    header.ContrastBolusVolume = volume
    assert not contrast_given(header)


@pytest.mark.parametrize("agent", [text for group in GIVEN for text in group])
@pytest.mark.parametrize("volume", [None, 0, 70])
def test_agents_and_words_that_nobody_knows_mean_contrast(agent: str, volume: object) -> None:
    header = Dataset()
    header.ContrastBolusAgent = agent
    header.ContrastBolusVolume = volume
    assert contrast_given(header)


def test_a_header_that_says_nothing_means_none() -> None:
    assert not contrast_given(Dataset())


@pytest.mark.parametrize("agent", [None, "", "UNKNOWN", "NONE"])
@pytest.mark.parametrize("keyword", ["ContrastBolusVolume", "ContrastBolusTotalDose"])
def test_a_volume_above_zero_means_contrast(agent: str | None, keyword: str) -> None:
    header = Dataset()
    header.ContrastBolusAgent = agent
    setattr(header, keyword, 70)
    assert contrast_given(header)


@pytest.mark.parametrize("route", ["ORAL", "PO", "P.O.", "per os", "Rectal", "by mouth"])
def test_agent_by_mouth_or_rectum_is_not_seen_in_a_head(route: str) -> None:
    header = Dataset()
    header.ContrastBolusAgent, header.ContrastBolusVolume, header.ContrastBolusRoute = "GASTROGRAFIN", 500, route
    assert not contrast_given(header)


@pytest.mark.parametrize("route", ["IV", "I.V.", "INTRAVENOUS", "INTRATHECAL", "oral and IV", ""])
def test_agent_in_blood_or_cerebrospinal_fluid_is(route: str) -> None:
    header = Dataset()
    header.ContrastBolusAgent, header.ContrastBolusRoute = "OMNIPAQUE", route
    assert contrast_given(header)


def code_agent(meaning: str, route: str = "", **more: object) -> Dataset:
    """Return a header with the coded form of an agent."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "1", "99TEST", meaning
    for keyword, value in more.items():
        setattr(item, keyword, value)
    if route:
        way = Dataset()
        way.CodeValue, way.CodingSchemeDesignator, way.CodeMeaning = "2", "99TEST", route
        item.ContrastBolusAdministrationRouteSequence = [way]
    header = Dataset()
    header.ContrastBolusAgentSequence = [item]
    return header


def test_the_coded_form_is_read_as_the_text_is() -> None:
    assert contrast_given(code_agent("Iohexol"))
    assert contrast_given(code_agent("", ContrastBolusVolume=70))
    assert contrast_given(code_agent("Diatrizoate", "Intravenous route"))
    assert not contrast_given(code_agent("No contrast"))
    assert not contrast_given(code_agent("None"))
    assert not contrast_given(code_agent("Diatrizoate", "Oral route"))
    empty = Dataset()
    empty.ContrastBolusAgentSequence = []
    assert not contrast_given(empty)
