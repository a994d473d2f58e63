# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What people's words in a header say: descriptions, protocol and body part, in the languages of many hospitals.

Words mislead (a bone series called "brain", a neck under a head protocol), so the rules give them little weight; here
they are only recognised, not judged.
"""

from __future__ import annotations

import re
from enum import StrEnum


class Region(StrEnum):
    """The part of the body that words name."""

    HEAD = "head"
    OTHER = "other"
    NOT_SAID = ""


class Contrast(StrEnum):
    """What words say of contrast agent."""

    WITH = "with"
    WITHOUT = "without"
    NOT_SAID = ""


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![a-zà-ž])(?:{pattern})")


_HEAD = _words(
    "head|brain|skull|crani|crane|crân|cerebr|cereb|enceph|enc[eé]f|neuro|intracran|stroke|kopf|sch(?:ä|ae)del|hirn|"
    "t[eê]te|testa(?![a-z])|cabeza|cabe[cç]a|hoofd|hersen|hoved|hode(?![a-z])|huvud|hj[eäæ]rn|g[lł]ow|hlav|c?cct(?![a-z])"
)
_OTHER = _words(
    "neck|hals|cuello|collo|cou(?![a-z])|spine|cspine|c sp|csp|cervic|hws|bws|lws|wirbel|t ?spine|l ?spine|chest|thora|"
    "torax|brust|lung|pulmo|heart|card|coronary|abd|pelvi|becken|liver|leber|kidney|sinus|nnh|orbit|petro|felsenbein|"
    "temporal|mastoid|facial|face|gesicht|maxill|mandib|dental|larynx|carot|aort|shoulder|schulter|hip(?![a-z])|knee|"
    "knie|foot|hand(?![a-z])|elbow|wrist|ankle|extremit|leg(?![a-z])|arm(?![a-z])"
)
_WITHOUT = re.compile(
    r"(?<![a-z])(?:w ?/ ?o|wo(?![a-z])|without|non?[ -]?con|non?[ -]?enh|unenh|plain|nativ|ohne|sans|sin contr|senza|"
    r"zonder|pre(?![a-z])|pre[ -]?con|ncct|nect|c ?-(?![a-z0-9]))|(?<=[ _])-c(?![a-z])"
)
# "Post" before these says after what, or where, and nothing of contrast agent: post-op, posterior, post fossa.
_POST = (
    "post(?!er|[ .-]*(?:op(?!ac)|surg|foss|traum|mort|crani|evac|drain|shunt|resect|coil|clip|emboli|thromb|lysis|tpa|"
    "stroke|ictal|partum|treat|proc))"
)
_WITH = re.compile(
    rf"(?<![a-z])(?:cta(?![a-z])|angio|{_POST}|arter|venous|ven(?![a-z])|art(?![a-z])|contrast|kontrast|contraste|"
    r"km(?![a-z])|iv(?![a-z])|cect|enhanced|c ?\+|ce(?![a-z]))|\+ ?c(?![a-z])"
)
_BONE = _words("bone|knochen|ossea|osseo|osseux|os(?![a-z])|hueso|sharp|hi ?res|edge|bot(?![a-z])")
_PROJECTION = _words(
    "mip|max ?ip|min ?ip|vrt|3 ?d(?![a-z])|perf|ctp(?![a-z])|cbf|cbv|mtt|tmax|subtract|iodine|bone ?rem"
)


def _plain(words: str) -> str:
    return re.sub(r"[_,;:()\[\]^]+", " ", words.lower())


def region(words: str) -> Region:
    """Return the part of the body that the words name: the head when it is among several."""
    plain = _plain(words)
    if _HEAD.search(plain):
        return Region.HEAD
    return Region.OTHER if _OTHER.search(plain) else Region.NOT_SAID


def contrast(words: str) -> Contrast:
    """Return whether the words say that contrast agent was, or was not, given."""
    plain = _plain(words)
    if _WITHOUT.search(plain):
        return Contrast.WITHOUT
    return Contrast.WITH if _WITH.search(plain) else Contrast.NOT_SAID


def says_bone(words: str) -> bool:
    """Return whether the words name a bone or otherwise sharp reconstruction."""
    return bool(_BONE.search(_plain(words)))


def says_projection(words: str) -> bool:
    """Return whether the words name a projection, rendering or map."""
    return bool(_PROJECTION.search(_plain(words)))
