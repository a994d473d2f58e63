# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The site's rules, applied to one answer: which conditions hold, and what these rules ask for.

A condition that cannot be evaluated for an answer counts as not holding; the other rules are applied. A study that was
fetched from the PACS as a prior came from there and is no news: only rules that ask for such studies are applied to it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from appliance.delivery.conditions import Condition, EvaluationError
from appliance.ledger.outbox import Planned
from appliance.sections.delivery import RuleSettings
from appliance.settings import Settings

_TEXTS: Final = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'')
_RETRIEVED: Final = re.compile(r"\bretrieved\b")


@dataclass(frozen=True)
class Verdict:
    """What one rule says of one answer.

    Attributes
    ----------
    rule
        Its name.
    holds
        Whether its condition holds; None when a rule above was the last one.
    why
        A sentence: its condition and the result, or why it was not checked or could not be evaluated.
    planned
        What it asks for.
    error
        Why its condition could not be evaluated; empty when it could.
    marks
        The words that it marks the study with.
    """

    rule: str
    holds: bool | None
    why: str
    planned: tuple[Planned, ...] = ()
    error: str = ""
    marks: tuple[str, ...] = ()


class Rules:
    """Rules with their compiled conditions; may be used by several threads."""

    def __init__(self, rules: Sequence[RuleSettings]) -> None:
        self._rules = [(rule, Condition(rule.when)) for rule in rules]

    def judge(self, values: Mapping[str, Any]) -> list[Verdict]:
        """Return what each rule, from the top, says about an answer with these values of the variables."""
        verdicts: list[Verdict] = []
        last = ""
        for rule, condition in self._rules:
            if last:
                verdicts.append(Verdict(rule.name, None, f"not looked at: {last} is the last rule where it holds"))
                continue
            shown = " ".join(rule.when.split())
            if values.get("retrieved") and not _names_retrieved(rule.when):
                why = f"not applied: the study was fetched as a prior, and the rule does not ask for that: {shown}"
                verdicts.append(Verdict(rule.name, False, why))
                continue
            try:
                holds = condition.holds(values)
            except EvaluationError as error:
                verdicts.append(Verdict(rule.name, False, f"cannot be evaluated ({error}): {shown}", error=str(error)))
                continue
            actions = rule.actions if holds else ()
            planned = tuple(Planned(one.to, rule.name, one.send, rule.first) for one in actions if one.to is not None)
            marks = tuple(one.mark for one in actions if one.mark is not None)
            why = f"{'holds' if holds else 'does not hold'}: {shown}"
            verdicts.append(Verdict(rule.name, holds, why, planned, marks=marks))
            if holds and rule.last:
                last = rule.name
        return verdicts


def rules_digest(settings: Settings) -> str:
    """Return the sha256 of what decides who is told of an answer: rules, destinations, and the zone of `hour`.

    Where secrets and certificates lie, and how long is waited, may differ from machine to machine.
    """
    own = {"timeout_s", "ca", "tls_ca", "password_file", "secret_file"}
    told = {
        "rules": [rule.model_dump(mode="json", exclude_defaults=True) for rule in settings.rules],
        "destinations": {
            name: one.model_dump(mode="json", exclude_defaults=True, exclude=own)
            for name, one in settings.destinations.items()
        },
        "time_zone": settings.delivery.time_zone,
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _names_retrieved(condition: str) -> bool:
    """Return whether a condition asks, outside its texts, whether a study was fetched from the PACS as a prior."""
    return bool(_RETRIEVED.search(_TEXTS.sub("", condition)))


def all_planned(verdicts: Iterable[Verdict]) -> list[Planned]:
    """Return what all rules ask for together; the same content goes to the same destination only once.

    It goes first if any of the rules that ask for it says so.
    """
    found: dict[tuple[str, tuple[str, ...]], Planned] = {}
    for verdict in verdicts:
        for one in verdict.planned:
            upper = found.setdefault((one.destination, one.content), one)
            if one.first and not upper.first:
                found[one.destination, one.content] = replace(upper, first=True)
    return list(found.values())


def all_marks(verdicts: Iterable[Verdict]) -> list[str]:
    """Return the words that all rules mark the study with together, each once."""
    return sorted({word for verdict in verdicts for word in verdict.marks})
