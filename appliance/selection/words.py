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
    "head|brain|skull|crani|crane|crân|cerebr|cereb|cerveau|cervello|enceph|enc[eé]f|neuro|intracran|stroke|kopf|"
    "sch(?:ä|ae)del|hirn|t[eê]te|testa(?![a-z])|cabeza|cabe[cç]a|hoofd|hersen|hoved|hode(?![a-z])|huvud|hj[eäæ]rn|"
    "g[lł]ow|hlav|lebk|glav[aeiu]|moz[eg]k|m[oó]zg|koponya|kallo|p[aä][aä](?![a-z])|beyin|kafa|c?cct(?![a-z])|"
    "голов|череп|мозг|κεφαλ|εγκεφ|头|頭|颅|顱|脑|腦|脳|두부|뇌"
)
_OTHER = _words(
    "neck|hals|cuello|collo|cou(?![a-z])|spine|cspine|c sp|csp|cervic|hws|bws|lws|wirbel|wervel|[tls] ?spine|lumb|"
    "thorac|rachis|columna|chest|thora|torax|torace|brust|lung|pulmo|heart|card|coronary|breast|mamm[aeo]|"
    "abd|bauch|vientre|pelvi|becken|liver|leber|kidney|renal|urin|bladder|prostat|pancrea|spleen|colon|rect|bowel|"
    "intestin|sinus|nnh|nasal|nose|orbit|petro|felsenbein|temporal|mastoid|inner ear|facial|face|gesicht|maxill|mandib|"
    "jaw|tmj|dental|teeth|zahn|larynx|pharyn|trache|thyroid|esophag|oesophag|carot|aort|shoulder|schulter|clavic|scapul|"
    "stern|ribs?(?![a-z])|humer|elbow|forearm|radius|ulna|wrist|hand(?![a-z])|finger|thumb|hip(?![a-z])|h(?:ü|ue)fte|"
    "sacr|coccy|femur|femor|thigh|oberschenkel|cuisse|muslo|coscia|knee|knie|rodilla|genou|ginocchio|patell|tibia|"
    "fibula|calf|unterschenkel|ankle|foot|fu(?:ß|ss)|calcane|toes?(?![a-z])|extremi|(?:up|low)[a-z]* ?exm|"
    "[ul]ext(?![a-z])|limb|leg(?![a-z])|arm(?![a-z])|pierna|jambe|gamba|brazo|bras(?![a-z])|"
    "ph?antom|catphan|acr(?![a-z])|water|wasser|qa(?![a-z])|quality|calibrat|kalibr|test obj"
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
