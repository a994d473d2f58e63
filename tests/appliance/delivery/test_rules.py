# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Rules, read from the top."""

from __future__ import annotations

from typing import Any

from appliance.delivery.rules import Rules, all_planned, rules_digest
from appliance.delivery.variables import Situation, values_of
from appliance.ledger.outbox import Planned
from appliance.sections.delivery import DeliverySettings, RuleSettings, destination_settings
from appliance.settings import Settings
from tests.appliance.delivery.jobs import job

VALUES = values_of(Situation(job()))


def rule(name: str, when: str = "true", to: str = "pacs", **more: Any) -> RuleSettings:
    return RuleSettings.model_validate({"name": name, "when": when, "actions": [{"to": to, "send": ["sr"]}], **more})


def test_all_rules_that_hold_are_done_from_the_top() -> None:
    verdicts = Rules([rule("a"), rule("b", "lesions == 0"), rule("c", to="vna", first=True)]).judge(VALUES)
    assert [(one.rule, one.holds) for one in verdicts] == [("a", True), ("b", False), ("c", True)]
    assert all_planned(verdicts) == [Planned("pacs", "a", ("sr",)), Planned("vna", "c", ("sr",), first=True)]
    assert verdicts[1].why == "does not hold: lesions == 0"


def test_below_a_last_rule_that_holds_nothing_is_looked_at() -> None:
    verdicts = Rules([rule("a", "false", last=True), rule("b", last=True), rule("c")]).judge(VALUES)
    assert [one.holds for one in verdicts] == [False, True, None]
    assert "b is the last rule" in verdicts[2].why
    assert [one.rule for one in all_planned(verdicts)] == ["b"]


def test_a_rule_that_cannot_be_evaluated_keeps_no_other_back() -> None:
    verdicts = Rules([rule("a", "1 / (lesions - 3) == 1"), rule("b")]).judge(VALUES)
    assert (verdicts[0].holds, verdicts[0].error) == (False, "divide by zero")
    assert [one.rule for one in all_planned(verdicts)] == ["b"]


def test_to_a_prior_that_was_fetched_only_rules_that_ask_for_priors_are_applied() -> None:
    rules = Rules(
        [rule("a"), rule("b", "!retrieved", last=True), rule("c", "retrieved"), rule("d", "'retrieved' != ''")]
    )
    assert [one.holds for one in rules.judge(VALUES)] == [True, True, None, None]
    verdicts = rules.judge(values_of(Situation(job(retrieved=True))))
    assert [one.holds for one in verdicts] == [False, False, True, False]
    assert "fetched as a prior" in verdicts[0].why


def test_what_two_rules_ask_for_alike_is_asked_for_once_and_goes_first_where_one_says_so() -> None:
    assert all_planned(Rules([rule("a"), rule("b")]).judge(VALUES)) == [Planned("pacs", "a", ("sr",))]
    planned = all_planned(Rules([rule("a"), rule("b", first=True)]).judge(VALUES))
    assert planned == [Planned("pacs", "a", ("sr",), first=True)]


def test_the_digest_of_rules_tells_what_decides_who_is_told_and_not_where_secrets_lie() -> None:
    hook = {"kind": "webhook", "url": "https://dashboard.example/told"}

    def digest(*rules: RuleSettings, zone: str = "", **destination: Any) -> str:
        told = {"dashboard": destination_settings(hook | destination)}
        delivery = DeliverySettings(time_zone=zone)
        return rules_digest(Settings().model_copy(update={"rules": rules, "destinations": told, "delivery": delivery}))

    own = digest(rule("a"), rule("b", "false"))
    assert own == digest(rule("a"), rule("b", "false"), secret_file="/etc/elsewhere", timeout_s=5)
    others = [
        digest(rule("b", "false"), rule("a")),
        digest(rule("a"), rule("b", "false", first=True)),
        digest(rule("a"), rule("b", "lesions == 1")),
        digest(rule("a"), rule("b", "false"), url="https://another.example/told"),
        digest(rule("a"), rule("b", "false"), zone="Europe/Vienna"),
    ]
    assert len({own, *others}) == 6
