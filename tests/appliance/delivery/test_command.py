# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`appliance rules` and `appliance outbox`, beside a real Orthanc and its ledger."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from appliance.cli import app
from deploy.local.settings_file import write_settings
from tests.appliance.bench import bench_on
from tests.appliance.delivery.receivers import Hook
from tests.appliance.delivery.site import Post, Site
from tests.appliance.stand_in import head_series

WIDE = {"COLUMNS": "240"}


class Office:
    """An answered study, its deliveries, and the commands of the person who looks after them."""

    def __init__(self, post: Post, file: Path) -> None:
        self.post = post
        self.ledger_file = file.with_name("ledger.sqlite")
        self._file = file

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--settings", str(self._file)], env=WIDE)

    def json(self, *arguments: str) -> Any:
        done = self.run(*arguments, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)


@pytest.fixture
def office(site: Site, hook: Hook, study: str, tmp_path: Path) -> Iterator[Office]:
    destinations = {
        "pacs": {"kind": "orthanc-modality", "modality": "PACS"},
        "hook": {"kind": "webhook", "url": hook.url, "timeout_s": 60},
        "spare": {"kind": "webhook", "url": hook.url},
    }
    rules: list[dict[str, Any]] = [
        {"name": "bleeds", "when": 'answer == "present"', "actions": [{"to": "pacs", "send": ["sr"]}], "first": True},
        {"name": "broken", "when": "int(accession) > 7", "actions": [{"to": "hook"}]},
        {"name": "night", "when": 'station == "CT9"', "actions": [{"to": "hook"}], "last": True},
        {"name": "below", "when": "true", "actions": [{"to": "spare"}]},
    ]
    settings = site.with_rules(destinations, rules).model_copy(update={"state_dir": tmp_path})
    with bench_on(settings, tmp_path) as bench:
        post = Post(bench, settings)
        post.answer(*head_series(study, StationName="CT9", AccessionNumber="ER-12"))
        yield Office(post, write_settings(settings, tmp_path / "appliance.toml"))


def test_check_names_each_rule_and_what_no_rule_uses(office: Office) -> None:
    done = office.run("rules", "check")
    assert done.exit_code == 0
    for words in ('answer == "present"', "sr > pacs; first", "message > hook; last"):
        assert words in done.stdout
    assert "4 rules, all right" in done.stderr
    assert [one["name"] for one in office.json("rules", "check")] == ["bleeds", "broken", "night", "below"]


def test_test_says_what_each_rule_does_with_a_study_and_why_and_delivers_nothing(office: Office, study: str) -> None:
    before = office.post.deliveries()
    told = office.json("rules", "test", study)
    assert [(one["rule"], one["holds"]) for one in told["rules"]] == [
        ("bleeds", True),
        ("broken", False),
        ("night", True),
        ("below", None),
    ]
    assert "cannot be evaluated" in told["rules"][1]["why"]
    assert told["values"]["station"] == "CT9"
    assert {(one["destination"], one["first"]) for one in told["planned"]} == {("pacs", True), ("hook", False)}
    assert {one["state"] for one in told["outbox"]} == {"waiting"}
    assert office.post.deliveries() == before
    by_orthanc = office.json("rules", "test", office.post.bench.job(study).orthanc_study)
    assert by_orthanc["rules"] == told["rules"]
    shown = office.run("rules", "test", study).stdout
    assert "holds: answer ==" in shown
    assert "not looked at: night is the last rule" in shown


def test_a_study_without_an_answer_is_told_so(office: Office) -> None:
    done = office.run("rules", "test", "1.2.3")
    assert done.exit_code == 1
    assert "the ledger does not know it" in done.stderr


def test_what_waits_is_listed_retried_and_dropped(office: Office, hook: Hook, study: str) -> None:
    hook.status = 422
    office.post.send_all("hook")
    listed = {one["destination"]: one for one in office.json("outbox", "list")}
    assert (listed["hook"]["state"], listed["pacs"]["state"]) == ("rejected", "waiting")
    assert "HTTP 422" in office.run("outbox", "list").stdout
    hook.status = 204
    (retried,) = office.json("outbox", "retry", str(listed["hook"]["id"]))
    assert (retried["state"], retried["next_try"]) == ("waiting", None)
    office.post.send_all("hook")
    assert len(hook.came) == 2
    (dropped,) = office.json("outbox", "drop", "--to", "pacs")
    assert dropped["state"] == "dropped"
    assert office.json("outbox", "list") == []
    states = {one["destination"]: one["state"] for one in office.json("outbox", "list", "--all", "--study", study)}
    assert states == {"hook": "delivered", "pacs": "dropped"}
    entries = [one for one in office.post.bench.desk.ledger.audit.entries() if one.event.value == "dropped"]
    assert [one.details["to"] for one in entries] == ["pacs"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("retry", "99"), "there is no delivery 99"),
        (("retry",), "name deliveries by number, or all of a destination by --to"),
        (("drop", "1", "--to", "pacs"), "name deliveries by number, or all of a destination by --to"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_sentence(office: Office, arguments: tuple[str, ...], said: str) -> None:
    done = office.run("outbox", *arguments)
    assert done.exit_code == 1
    assert said in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may write the ledger of another user")
@pytest.mark.parametrize("verb", ["retry", "drop"])
def test_root_does_not_write_the_ledger_of_another_user(office: Office, verb: str) -> None:
    os.chown(office.ledger_file, 65534, 65534)
    done = office.run("outbox", verb, "1")
    assert done.exit_code == 1
    assert "run this as that user" in done.stderr
    assert set(office.post.states()) == {"waiting"}


def test_what_was_delivered_cannot_be_dropped_or_retried(office: Office) -> None:
    office.post.send_all("hook")
    (delivered,) = (one for one in office.post.deliveries() if one.destination == "hook")
    for verb in ("retry", "drop"):
        done = office.run("outbox", verb, str(delivered.id))
        assert done.exit_code == 1
        assert "a delivery that is delivered cannot" in done.stderr
