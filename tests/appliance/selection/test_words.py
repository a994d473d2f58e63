# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Words in descriptions are recognised, in several languages, and not within other words."""

from __future__ import annotations

import pytest

from appliance.selection.words import Contrast, contrast, says_bone, says_projection


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
