# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Words in descriptions are recognised, in several languages, and not within other words."""

from __future__ import annotations

import pytest

from appliance.selection.words import Contrast, Region, contrast, region, says_bone, says_projection


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


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("Head w/o contrast", Contrast.WITHOUT),
        ("HEAD WO", Contrast.WITHOUT),
        ("Brain without", Contrast.WITHOUT),
        ("Kopf nativ", Contrast.WITHOUT),
        ("sans injection", Contrast.WITHOUT),
        ("Non-contrast 5mm", Contrast.WITHOUT),
        ("C- 5.0", Contrast.WITHOUT),
        ("Head with contrast", Contrast.WITH),
        ("CTA Head", Contrast.WITH),
        ("POST 5.0", Contrast.WITH),
        ("POST HEAD", Contrast.WITH),
        ("HEAD POST", Contrast.WITH),
        ("Post-contrast 5.0", Contrast.WITH),
        ("POST GAD", Contrast.WITH),
        ("POST-OP HEAD C+", Contrast.WITH),
        ("C+ venous", Contrast.WITH),
        ("Kopf KM", Contrast.WITH),
        ("Posterior fossa", Contrast.NOT_SAID),
        ("POST FOSSA", Contrast.NOT_SAID),
        ("POST-OP HEAD", Contrast.NOT_SAID),
        ("Head postop", Contrast.NOT_SAID),
        ("POST_SURGERY 5.0", Contrast.NOT_SAID),
        ("Post trauma head", Contrast.NOT_SAID),
        ("HEAD POST TPA", Contrast.NOT_SAID),
        ("Head 5.0", Contrast.NOT_SAID),
        ("", Contrast.NOT_SAID),
    ],
)
def test_words_for_contrast(words: str, said: Contrast) -> None:
    assert contrast(words) is said


def test_words_for_bone_and_projections() -> None:
    assert says_bone("Head BONE 2.0")
    assert says_bone("Knochen")
    assert not says_bone("Head 5.0 soft")
    assert says_projection("AX MIP 10mm")
    assert says_projection("3D VRT")
    assert not says_projection("Head 3 x 5")
