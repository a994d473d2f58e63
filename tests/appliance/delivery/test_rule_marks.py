# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Words that rules mark a study with, in a real Orthanc; and labels, where Orthanc has them."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from appliance.delivery.rule_marks import METADATA, RuleMarks
from appliance.errors import UnavailableError
from appliance.ledger.states import JobState
from appliance.orthanc_errors import OrthancError
from appliance.sections.delivery import ActionSettings
from tests.appliance.bench import exposition
from tests.appliance.delivery.jobs import job
from tests.appliance.delivery.proxy import Page, Proxy, pages
from tests.appliance.delivery.site import Post, Site, post_at
from tests.appliance.stand_in import head_series


def mark(word: str, when: str) -> dict[str, Any]:
    return {"name": f"mark {word}", "when": when, "actions": [{"mark": word}]}


def words(post: Post, resource: str) -> list[str] | None:
    text = post.bench.desk.orthanc.metadata(resource, METADATA)
    return None if text is None else [str(word) for word in json.loads(text)["marks"]]


def test_the_words_of_the_rules_that_hold_stand_on_study_and_report_and_follow_the_newer_answer(
    site: Site, study: str, tmp_path: Path
) -> None:
    rules = [
        mark("stroke-team", 'answer == "present"'),
        mark("first-look", 'earlier == ""'),
        mark("never", 'answer == "unread"'),
    ]
    files = head_series(study, 20)
    with post_at(site.with_rules({}, rules), tmp_path) as post:
        post.answer(*files[:14])
        older = post.bench.job(study)
        place = f"studies/{older.orthanc_study}"
        assert words(post, place) == ["first-look", "stroke-team"]
        before = series_of(post, older.id, older.sr_uid)
        assert words(post, before) == ["first-look", "stroke-team"]
        post.answer(*files[14:])
        newer = post.bench.job(study)
        assert newer.id != older.id
        assert words(post, place) == ["stroke-team"]
        assert words(post, series_of(post, newer.id, newer.sr_uid)) == ["stroke-team"]
        assert words(post, before) is None


def series_of(post: Post, job: int, sr_uid: str) -> str:
    results = post.bench.desk.ledger.jobs.results(job)
    return next(f"series/{one.orthanc_series}" for one in results if one.sop_instance_uid == sr_uid)


def test_a_study_that_no_rule_marks_any_longer_bears_nothing(site: Site, study: str, tmp_path: Path) -> None:
    files = head_series(study, 20)
    with post_at(site.with_rules({}, [mark("first-look", 'earlier == ""')]), tmp_path) as post:
        post.answer(*files[:14])
        place = f"studies/{post.bench.job(study).orthanc_study}"
        assert words(post, place) == ["first-look"]
        post.answer(*files[14:])
        assert words(post, place) is None


def test_marks_that_orthanc_does_not_take_are_counted_and_keep_no_delivery_back(
    site: Site, study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with post_at(site.with_rules({}, [mark("stroke-team", "true")]), tmp_path) as post:
        write = post.bench.desk.orthanc.set_metadata

        def refuse(resource: str, number: int, value: str) -> None:
            if number == METADATA:
                raise OrthancError("no such metadata", 400)
            write(resource, number, value)

        monkeypatch.setattr(post.bench.desk.orthanc, "set_metadata", refuse)
        post.answer(*head_series(study))
        assert post.bench.job(study).routed
        assert "hemorrhage_unmarked_answers_total 1.0" in exposition(post.bench.metrics)


@pytest.mark.parametrize("page", pages(f"/metadata/{METADATA}"), ids=str)
def test_a_page_of_a_proxy_in_place_of_the_words_lets_the_rules_wait(
    site: Site, study: str, tmp_path: Path, page: Page
) -> None:
    files = head_series(study, 20)
    with (
        Proxy(site.with_rules({}, [mark("first-look", 'earlier == ""')])) as proxy,
        post_at(proxy.settings, tmp_path) as post,
    ):
        place = f"studies/{answer_behind(proxy, page, post, files[:14], study)}"
        assert words(post, place) == ["first-look"]
        answer_behind(proxy, page, post, files[14:], study)
        assert words(post, place) is None
        assert "hemorrhage_unmarked_answers_total 0.0" in exposition(post.bench.metrics)


def answer_behind(proxy: Proxy, page: Page, post: Post, files: list[bytes], study: str) -> str:
    """Have a study answered while the proxy shows a page, and its rules applied once it is gone; return the study."""
    post.bench.send(*files)
    post.bench.worker.work()
    proxy.page = page
    with pytest.raises(UnavailableError):
        post.dispatch.route()
    assert not post.bench.job(study).routed
    proxy.page = None
    assert post.dispatch.route() > 0
    return post.bench.job(study).orthanc_study


def test_labels_follow_the_answer_and_the_rules_where_orthanc_has_them_and_those_of_others_stay(
    site: Site, study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian 12's Orthanc has no labels: these are kept by the test, by the interface of 1.12."""
    there: defaultdict[str, set[str]] = defaultdict(set)
    files = head_series(study, 20)
    with post_at(site.with_rules({}, [mark("first-look", 'earlier == ""')]), tmp_path) as post:
        orthanc = post.bench.desk.orthanc
        assert not orthanc.has_labels()
        monkeypatch.setattr(orthanc, "has_labels", lambda: True)
        monkeypatch.setattr(orthanc, "labels", lambda resource: set(there[resource]))
        monkeypatch.setattr(orthanc, "set_label", lambda resource, label: there[resource].add(label))
        monkeypatch.setattr(orthanc, "remove_label", lambda resource, label: there[resource].discard(label))
        post.answer(*files[:14])
        older = post.bench.job(study)
        place, report = f"studies/{older.orthanc_study}", series_of(post, older.id, older.sr_uid)
        assert there[place] == there[report] == {"hemorrhage-present", "first-look"}
        there[place] |= {"teaching", "hemorrhage-absent"}
        post.answer(*files[14:])
        assert there[place] == {"hemorrhage-present", "teaching"}
        assert there[report] == {"hemorrhage-present"}


class Shelf:
    """Metadata and labels of an Orthanc 1.12 that goes away at one step, its number counted down in `away_in`."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.stuck: defaultdict[str, set[str]] = defaultdict(set)
        self.away_in = 0

    def _step(self) -> None:
        self.away_in -= 1
        if self.away_in == 0:
            raise UnavailableError("away")

    def holds_instance(self, _instance: str) -> bool:
        return True

    def metadata(self, resource: str, _number: int) -> str | None:
        self._step()
        return self.kept.get(resource)

    def set_metadata(self, resource: str, _number: int, value: str) -> None:
        self._step()
        self.kept[resource] = value

    def remove_metadata(self, resource: str, _number: int) -> None:
        self._step()
        self.kept.pop(resource, None)

    def has_labels(self) -> bool:
        self._step()
        return True

    def labels(self, resource: str) -> set[str]:
        self._step()
        return set(self.stuck[resource])

    def set_label(self, resource: str, label: str) -> None:
        self._step()
        self.stuck[resource].add(label)

    def remove_label(self, resource: str, label: str) -> None:
        self._step()
        self.stuck[resource].discard(label)


@pytest.mark.parametrize("words_now", [[], ["kept"], ["fresh"], ["kept", "fresh"]])
def test_wherever_orthanc_goes_away_no_label_of_an_older_answer_is_left(words_now: list[str]) -> None:
    orthanc, jobs = Shelf(), [job(id=1, sr_uid="1.1")]

    def results(number: int) -> list[SimpleNamespace]:
        return [SimpleNamespace(sop_instance_uid=f"1.{number}", orthanc_instance="", orthanc_series=f"{number}")]

    answers = SimpleNamespace(of_study=lambda _study: jobs, results=results)
    ledger: Any = SimpleNamespace(jobs=answers)
    shelf: Any = orthanc
    none: Any = None
    marks = RuleMarks(shelf, ledger, none)
    failed = 0
    for step in range(1, 100):
        orthanc.kept.clear()
        orthanc.stuck.clear()
        jobs[:] = [job(id=1, sr_uid="1.1")]
        marks.settle(jobs[0], ["kept", "stroke-team"])
        jobs[:] = [job(id=1, sr_uid="1.1", state=JobState.SUPERSEDED), job(id=2, sr_uid="1.2")]
        orthanc.away_in = step
        try:
            marks.settle(jobs[1], words_now)
            break
        except UnavailableError:
            failed += 1
            marks.settle(jobs[1], words_now)
        labels = {resource: there for resource, there in orthanc.stuck.items() if there}
        assert labels == ({"studies/s": set(words_now), "series/2": set(words_now)} if words_now else {}), step
        assert set(orthanc.kept) == set(labels), step
    assert failed > 5


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ({}, "either `to`, a destination, or `mark`"),
        ({"to": "pacs", "mark": "x"}, "either `to`, a destination, or `mark`"),
        ({"mark": "x", "send": ["sr"]}, "`mark` goes without `send`"),
        ({"mark": "stroke team"}, "pattern"),
        ({"mark": "hemorrhage-present"}, "labels of answers"),
    ],
)
def test_an_action_that_is_none_is_told(action: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ActionSettings.model_validate(action)
