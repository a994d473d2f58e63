# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from appliance.findings.outcome import Outcome


def test_the_words_that_ledgers_and_orthancs_hold_stay_and_the_most_urgent_is_first() -> None:
    assert [one.value for one in Outcome] == ["present", "undetermined", "unread", "absent"]


@pytest.mark.parametrize(
    ("facts", "outcome"),
    [
        ({}, Outcome.UNREAD),
        ({"present": True, "coverage": {"partial": True}}, Outcome.PRESENT),
        ({"present": False, "coverage": {"partial": True}}, Outcome.UNDETERMINED),
        ({"present": False, "coverage": {"partial": False}}, Outcome.ABSENT),
        ({"present": False, "coverage": None}, Outcome.ABSENT),
        ({"present": False}, Outcome.ABSENT),
    ],
    ids=["nothing", "present", "part", "whole", "coverage empty", "of an older version"],
)
def test_the_outcome_is_told_by_the_facts(facts: dict[str, object], outcome: Outcome) -> None:
    assert Outcome.of_facts(facts) is outcome
