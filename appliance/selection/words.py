# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What people's words in a header say about contrast agent and reconstruction, in the languages of many hospitals.

Words mislead (a bone series called "brain", a neck under a head protocol), so the rules give them little weight; this
module only recognises them.
"""

from __future__ import annotations

import re
from enum import StrEnum

from appliance.imaging.body_part import match_words, spell_plainly


class Contrast(StrEnum):
    """What words say of contrast agent."""

    WITH = "with"
    WITHOUT = "without"
    NOT_SAID = ""


_WITHOUT = re.compile(
    r"(?<![a-z])(?:w ?/ ?o|wo(?![a-z])|without|non?[ -]?con|non?[ -]?enh|unenh|plain|nativ|ohne|sans|sin contr|senza|"
    r"zonder|pre(?![a-z])|pre[ -]?con|ncct|nect|c ?-(?![a-z0-9]))|(?<=[ _])-c(?![a-z])"
)
# Before these "post" says after what, or where; it is not about contrast agent: post-op, posterior, post fossa.
_POST = (
    "post(?!er|[ .-]*(?:op(?!ac)|surg|foss|traum|mort|crani|evac|drain|shunt|resect|coil|clip|emboli|thromb|lysis|tpa|"
    "stroke|ictal|partum|treat|proc))"
)
_WITH = re.compile(
    rf"(?<![a-z])(?:cta(?![a-z])|angio|{_POST}|arter|venous|ven(?![a-z])|art(?![a-z])|contrast|kontrast|contraste|"
    r"km(?![a-z])|iv(?![a-z])|cect|enhanced|c ?\+|ce(?![a-z]))|\+ ?c(?![a-z])"
)
_BONE = match_words("bone|knochen|ossea|osseo|osseux|os(?![a-z])|hueso|sharp|hi ?res|edge|bot(?![a-z])")
_PROJECTION = match_words(
    "mip|max ?ip|min ?ip|vrt|3 ?d(?![a-z])|perf|ctp(?![a-z])|cbf|cbv|mtt|tmax|subtract|iodine|bone ?rem"
)


def contrast(words: str) -> Contrast:
    """Return whether the words say that contrast agent was, or was not, given."""
    plain = spell_plainly(words)
    if _WITHOUT.search(plain):
        return Contrast.WITHOUT
    return Contrast.WITH if _WITH.search(plain) else Contrast.NOT_SAID


def says_bone(words: str) -> bool:
    """Return whether the words name a bone or otherwise sharp reconstruction."""
    return bool(_BONE.search(spell_plainly(words)))


def says_projection(words: str) -> bool:
    """Return whether the words name a projection, rendering or map."""
    return bool(_PROJECTION.search(spell_plainly(words)))
