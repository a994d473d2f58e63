# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Kernels by their vendors' names."""

from __future__ import annotations

import pytest

from appliance.imaging.kernels import Sharpness, kernel

SOFT = "H31s H30s H37s H40f J30s J40s I31f Hr38h Hr40f Hc40 Br36 Br40d B30f B31s C30s Qr40 Hv40 STANDARD SOFT STND "
SOFT += "FC20 FC21 FC26 FC64 FC43 FC12 A B UA UB SB BRAIN H_SOFT_B Smooth"
SHARP = "H60s H70h H60f B60f B70s B80f U90u U75u Hr59 Hr64h Br59 Br64 J70h I70f BONE BONEPLUS BONE+ EDGE LUNG ULTRA "
SHARP += "HD_BONE FC30 FC31 FC35 FC51 FC81 FC80 YA YB YC D L Y-Sharp H_SHARP_D IAC"
MEDIUM = "DETAIL H48s Hr49 B45f C UC"


@pytest.mark.parametrize("name", SOFT.split())
def test_soft_tissue_kernels_are_known(name: str) -> None:
    assert kernel([name]).sharpness is Sharpness.SOFT


@pytest.mark.parametrize("name", SHARP.split())
def test_bone_lung_and_edge_kernels_are_known(name: str) -> None:
    assert kernel([name]).sharpness is Sharpness.SHARP
    assert kernel([name.lower()]).sharpness is Sharpness.SHARP


@pytest.mark.parametrize("name", MEDIUM.split())
def test_kernels_between_are_known(name: str) -> None:
    assert kernel([name]).sharpness is Sharpness.MEDIUM


@pytest.mark.parametrize("name", ["", "32", "XYZZY", "T20s", "(none)", "\u200b"])
def test_a_name_that_is_not_known_says_nothing(name: str) -> None:
    assert kernel([name]).sharpness is Sharpness.UNKNOWN


def test_the_first_of_several_values_that_says_something_counts() -> None:
    found = kernel(["J40s", "3"])
    assert (found.name, found.sharpness) == ("J40s", Sharpness.SOFT)
    assert kernel(["?", "H60s"]).sharpness is Sharpness.SHARP
    assert kernel([]).name == ""
