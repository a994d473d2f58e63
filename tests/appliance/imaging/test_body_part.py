# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Words for parts of the body are recognised, in several languages, and not within other words."""

from __future__ import annotations

import pytest

from appliance.imaging.body_part import Region, region


@pytest.mark.parametrize(
    "words",
    ["HEAD", "Head_5.0_H31s", "CT BRAIN W/O", "Kopf nativ", "Schädel 5mm", "SCHAEDEL", "TETE", "tête sans", "Cabeza",
     "crâne", "hersenen", "NCCT Stroke", "Cranio", "Neck and head", "Hoofd", "CCT", "Testa", "Głowa", "голова", "頭部",
     "头颅", "Lebka", "glava", "koponya", "Cerveau", "CRANIUM", "Pää"],
)  # fmt: skip
def test_words_for_the_head(words: str) -> None:
    assert region(words) is Region.HEAD


@pytest.mark.parametrize(
    "words",
    ["NECK", "CSPINE", "C-Spine 2.0", "HWS", "Thorax", "CHEST_ABD", "Orbita", "Sinuses", "Carotis", "temporal bone",
     "NNH", "Felsenbein", "EXTREMITY", "FEMUR", "Thigh", "LOW_EXM", "UP EXM", "LEXT", "Oberschenkel", "Tibia",
     "PHANTOM", "Wasserphantom", "ACR", "QA", "Catphan 600", "BREAST", "PROSTATE", "TSPINE", "SSPINE", "ZAHN", "RIB"],
)  # fmt: skip
def test_words_for_other_parts(words: str) -> None:
    assert region(words) is Region.OTHER


@pytest.mark.parametrize(
    "words", ["", "Recon 2", "Ax 5.0", "5mm ST", "Series 4", "Standard", "WHOLEBODY", "UNKNOWN", "Early", "Axial"]
)
def test_words_for_no_part(words: str) -> None:
    assert region(words) is Region.NOT_SAID
