# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What reconstruction kernels' names say about sharpness, vendor by vendor.

A sharp kernel (bone, lung, edge) makes noise and bright rims that a network trained on soft-tissue images takes for
blood. The names are the vendors' own and have been stable for decades; an unknown name says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Sharpness(StrEnum):
    """What a kernel is made for."""

    SOFT = "soft"
    MEDIUM = "medium"
    SHARP = "sharp"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Kernel:
    """A kernel by its name as the header writes it ("" when there is none)."""

    name: str
    sharpness: Sharpness


# Words in names come first: GE (SOFT, STANDARD, DETAIL, BONE, BONEPLUS, EDGE, LUNG, ULTRA), Philips ("Brain
# Standard", "Y-Sharp", "IAC"), Canon (AiCE BRAIN, BONE), United Imaging (H_SOFT_B, H_SHARP_D), and others.
_BETWEEN = re.compile(r"BRAIN SHARP|DETAIL|CHST|\bMEDIUM SHARP")
_SHARP_WORDS = re.compile(r"BONE|EDGE|LUNG|ULTRA|SHARP|HI(GH)? ?RES|INNER EAR|\bEAR\b|\bIAC\b|KNOCHEN")
_SOFT_WORDS = re.compile(r"SOFT|SMOOTH|STANDARD|STND|BRAIN|CEREBR|NEURO|\bNR2\b|\bBODY\b|WEICH")

# Siemens: H31s, B60f, U90u, J30s, I70f, Hr38h, Br59, Hv36, Qr40, ...: the number is the sharpness.
_SIEMENS = re.compile(r"(?:[BCHIJSU]|B[LRV]|H[CFPRV]|Q[R]|U[R]|S[AD])(\d\d)[A-Z]{0,2}\b")
_SIEMENS_MEDIUM, _SIEMENS_SHARP = 45, 50
# Canon and Toshiba: FC01-19 body, FC20-29 and FC40-49 head, FC60-69 brain; the rest is bone, inner ear and lung.
_CANON = re.compile(r"FC(\d\d)")
_CANON_SHARP = {3, 5, 8}
# Philips' short names.
_PHILIPS = {
    **dict.fromkeys(("A", "B", "SA", "SB", "CA", "CB", "UA", "UB", "EA", "EB"), Sharpness.SOFT),
    **dict.fromkeys(("C", "SC", "CC", "UC", "EC"), Sharpness.MEDIUM),
    **dict.fromkeys(("D", "E", "F", "L", "CD", "UD", "YA", "YB", "YC", "YD", "YE"), Sharpness.SHARP),
}


def kernel(names: Iterable[str]) -> Kernel:
    """Return the kernel of a header's Convolution Kernel values: the first name that says something."""
    first = ""
    for name in names:
        first = first or name
        sharpness = _sharpness(re.sub(r"[_\W]+", " ", name.upper()).strip())
        if sharpness is not Sharpness.UNKNOWN:
            return Kernel(name, sharpness)
    return Kernel(first, Sharpness.UNKNOWN)


def _sharpness(name: str) -> Sharpness:
    if _BETWEEN.search(name):
        return Sharpness.MEDIUM
    if _SHARP_WORDS.search(name):
        return Sharpness.SHARP
    if _SOFT_WORDS.search(name):
        return Sharpness.SOFT
    if found := _CANON.match(name):
        return Sharpness.SHARP if int(found[1]) // 10 in _CANON_SHARP else Sharpness.SOFT
    if found := _SIEMENS.match(name):
        number = int(found[1])
        if number >= _SIEMENS_SHARP:
            return Sharpness.SHARP
        return Sharpness.MEDIUM if number >= _SIEMENS_MEDIUM else Sharpness.SOFT
    return _PHILIPS.get(name, Sharpness.UNKNOWN)
