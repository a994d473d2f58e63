# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Which part of the body is named by Body Part Examined, descriptions and protocols, in the languages of hospitals.

Words mislead (a neck under a head protocol, a vertex labelled SKULL), so this module only recognises them; it does not
judge.
"""

from __future__ import annotations

import re
from enum import StrEnum


class Region(StrEnum):
    """The part of the body that words name."""

    HEAD = "head"
    OTHER = "other"
    NOT_SAID = ""


def match_words(pattern: str) -> re.Pattern[str]:
    """Return a pattern that finds any of the words at the beginning of a word."""
    return re.compile(rf"(?<![a-zà-ž])(?:{pattern})")


_HEAD = match_words(
    "head|brain|skull|crani|crane|crân|cerebr|cereb|cerveau|cervello|enceph|enc[eé]f|neuro|intracran|stroke|kopf|"
    "sch(?:ä|ae)del|hirn|t[eê]te|testa(?![a-z])|cabeza|cabe[cç]a|hoofd|hersen|hoved|hode(?![a-z])|huvud|hj[eäæ]rn|"
    "g[lł]ow|hlav|lebk|glav[aeiu]|moz[eg]k|m[oó]zg|koponya|kallo|p[aä][aä](?![a-z])|beyin|kafa|c?cct(?![a-z])|"
    "голов|череп|мозг|κεφαλ|εγκεφ|头|頭|颅|顱|脑|腦|脳|두부|뇌"
)
_OTHER = match_words(
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


def spell_plainly(words: str) -> str:
    """Return words in small letters, with spaces for the signs between them."""
    return re.sub(r"[_,;:()\[\]^]+", " ", words.lower())


def region(words: str) -> Region:
    """Return the part of the body that the words name: the head when it is among several."""
    plain = spell_plainly(words)
    if _HEAD.search(plain):
        return Region.HEAD
    return Region.OTHER if _OTHER.search(plain) else Region.NOT_SAID
