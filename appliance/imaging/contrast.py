# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whether contrast agent was given, by the header's own attributes (not its descriptions).

`contrast_words` judges the text of Contrast/Bolus Agent. A volume above zero says that agent was given. A volume of
zero says nothing: scanners fill it in when nobody did.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydicom import Dataset
from pydicom.sequence import Sequence

from appliance.imaging.contrast_words import BY_MOUTH, INTO_THE_BLOOD, names_agent, spoken_words
from appliance.imaging.header import number, texts


def contrast_given(header: Dataset) -> bool:
    """Return whether the header says that contrast agent went into the blood (or the cerebrospinal fluid).

    Contrast/Bolus Agent or its sequence says so, unless they say that there was none, or a positive volume does. Agent
    given by mouth or rectum does not count, because it is not seen in a head.
    """
    routes = {word for route in _routes(header) for word in spoken_words(route)}
    if routes & BY_MOUTH and not routes & INTO_THE_BLOOD:
        return False
    return any(names_agent(agent) for agent in _agents(header)) or any(volume > 0 for volume in _volumes(header))


def _agents(header: Dataset) -> Iterator[str]:
    yield ", ".join(texts(header, "ContrastBolusAgent"))
    for item in _items(header, "ContrastBolusAgentSequence"):
        yield " ".join(texts(item, "CodeMeaning") or texts(item, "CodeValue"))


def _routes(header: Dataset) -> Iterator[str]:
    yield " ".join(texts(header, "ContrastBolusRoute"))
    for place in (header, *_items(header, "ContrastBolusAgentSequence")):
        for item in _items(place, "ContrastBolusAdministrationRouteSequence"):
            yield " ".join(texts(item, "CodeMeaning"))


def _volumes(header: Dataset) -> Iterator[float]:
    places = (
        header,
        *_items(header, "ContrastBolusAgentSequence"),
        *_items(header, "ContrastAdministrationProfileSequence"),
    )
    for place in places:
        for keyword in ("ContrastBolusVolume", "ContrastBolusTotalDose"):
            yield number(place, keyword) or 0.0


def _items(header: Dataset, keyword: str) -> tuple[Dataset, ...]:
    value = header.get(keyword)
    return tuple(value) if isinstance(value, Sequence) else ()
