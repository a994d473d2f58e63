# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The comparison with the prior head CT as content of the SR: two TID 1501 groups with their time point (TID 1502).

One group holds the volumes of the prior CT, which is the baseline, and names its report. The other holds what has
changed since: the hours between the scans, the differences in mL and percent (Difference in size, the concept of
CID 6133 for a quantitative difference in time), and whether blood has grown (Increase in size: present, absent, or
undetermined where the volumes cannot be compared). A type is told by its finding site; all types together are a
derived total.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from pydicom import Dataset

from appliance.findings.change import TOTAL, Comparison
from appliance.reading.contract import HemorrhageType
from appliance.results import codes
from appliance.results import content_items as items
from appliance.results.change_words import change_sentences
from appliance.results.content_items import Relation
from appliance.results.identity import series_uid_of


def change_groups(
    compared: Comparison, tracking: Callable[[str, str], list[Dataset]], algorithm: Callable[[], list[Dataset]]
) -> Iterator[Dataset]:
    """Return the groups; `tracking` and `algorithm` return TID 4108 for a name and a key, and TID 4019."""
    yield _prior_group(compared, tracking)
    yield _change_group(compared, tracking, algorithm)


def prior_evidence(compared: Comparison) -> Dataset:
    """Return the evidence of another study that the groups refer to: the report of the prior CT."""
    prior = compared.prior
    report = (prior.report_class_uid, prior.report_uid)
    return items.evidence(prior.study_uid, [(str(series_uid_of(prior.report_uid)), [report])])


def _prior_group(compared: Comparison, tracking: Callable[[str, str], list[Dataset]]) -> Dataset:
    change, prior = compared.change, compared.prior
    # The network may have been another one, so no algorithm is named here: the prior's own report names it.
    return items.container(
        codes.MEASUREMENT_GROUP,
        [
            *tracking("Prior head CT", "prior"),
            items.text(codes.TIME_POINT, "Prior head CT", Relation.CONTEXT),
            items.code(codes.TIME_POINT_TYPE, codes.BASELINE_TIME_POINT, Relation.CONTEXT),
            items.code(codes.FINDING, codes.INTRACRANIAL_HEMORRHAGE),
            *(
                items.number(codes.VOLUME, change.then(what), codes.MILLILITER, _what(what))
                for what in _shown(change.kinds)
            ),
            items.code(codes.PRESENCE, codes.PRESENCES[prior.answer]),
            items.composite(codes.PRIOR_REPORT, prior.report_class_uid, prior.report_uid),
        ],
        template="1501",
    )


def _change_group(
    compared: Comparison, tracking: Callable[[str, str], list[Dataset]], algorithm: Callable[[], list[Dataset]]
) -> Dataset:
    change = compared.change
    grown = codes.PRESENT if change.grown else codes.UNDETERMINED if change.obstacle else codes.ABSENT
    since = items.code(codes.TEMPORAL_EVENT_TYPE, codes.BASELINE, Relation.MODIFIES)
    numbers = []
    for what in _shown(change.kinds) if change.obstacle is None else ():
        told = [(change.difference_ml(what), codes.MILLILITER), (change.percent(what), codes.PERCENT)]
        numbers += [
            items.number(codes.DIFFERENCE_IN_SIZE, value, unit, [*_what(what), *algorithm()])
            for value, unit in told
            if value is not None
        ]
    return items.container(
        codes.MEASUREMENT_GROUP,
        [
            *tracking("Change since the prior head CT", "change"),
            items.text(codes.TIME_POINT, "This head CT, after the prior one", Relation.CONTEXT),
            items.number(codes.TEMPORAL_OFFSET, compared.hours, codes.HOUR, [since], Relation.CONTEXT),
            items.code(codes.FINDING, codes.INCREASE_IN_SIZE),
            *algorithm(),
            *numbers,
            items.code(codes.PRESENCE, grown),
            items.text(codes.COMMENT, "\n".join(change_sentences(compared.facts))),
        ],
        template="1501",
    )


def _shown(kinds: Sequence[str]) -> tuple[str, ...]:
    return (*kinds, TOTAL) if kinds else ()


def _what(what: str) -> list[Dataset]:
    """Return the modifier of a number: the site of a type, or that it is the total."""
    if what == TOTAL:
        return [items.code(codes.DERIVATION, codes.TOTAL, Relation.MODIFIES)]
    return [items.code(codes.FINDING_SITE, codes.SITES[HemorrhageType(what)], Relation.MODIFIES)]
