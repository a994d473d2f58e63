# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from appliance.errors import UnavailableError
from appliance.ledger.models import ModelFacts
from appliance.ledger.outbox import Planned
from appliance.ledger.records import ModelEvent
from appliance.ledger.states import DeliveryState
from appliance.web.accounts import Accounts, Role, new_account, write_accounts
from appliance.web.login import Login
from tests.appliance.web.markup import Markup, words
from tests.appliance.web.site import Site, orthanc_id

STUDY = orthanc_id(1)
OURS = {"Origin": "http://127.0.0.1:8044"}


def delivery(site: Site, destination: str = "pacs") -> int:
    """Let an answer wait for a destination; return the delivery's number."""
    job = site.answered(STUDY)
    (made,) = site.ledger.outbox.route(job, [Planned(destination, "all <b>", ("sr", "seg"))])
    return made.id


def state(site: Site, number: int) -> DeliveryState:
    found = site.ledger.outbox.delivery(number)
    assert found is not None
    return found.state


def test_the_queue_says_what_waits_and_why(site: Site) -> None:
    site.ledger.studies.miss(site.study(STUDY), "a slice between 4 and 5 is missing", [])
    site.faults["orthanc"] = UnavailableError("Orthanc is away")
    site.health.ask()
    shown = words(site.client.get("/queue").text)
    for one in ("not ready", "Orthanc: Orthanc is away", "waits for images", "a slice between 4 and 5 is missing"):
        assert one in shown
    assert "Studies that wait for images 1" in shown


def test_a_delivery_is_listed_with_its_rule_and_destination(site: Site) -> None:
    number = delivery(site)
    text = site.client.get("/deliveries").text
    assert f"{number} sr, seg to pacs rule all <b> waiting" in words(text)
    assert "<b>" not in text


def test_a_delivery_is_dropped_and_retried_by_a_click_and_the_trail_says_who_dropped_it(site: Site) -> None:
    number = delivery(site)
    assert site.client.post(f"/deliveries/{number}/drop", headers=OURS, data={"back": "/deliveries"}).status_code == 200
    assert state(site, number) is DeliveryState.DROPPED
    assert [entry.who for entry in site.ledger.audit.entries() if entry.event == "dropped"] == ["this machine"]
    assert "Nothing waits" in words(site.client.get("/deliveries").text)
    assert "dropped" in words(site.client.get("/deliveries?all=1").text)
    assert site.client.post(f"/deliveries/{number}/retry", headers=OURS, data={"back": "/"}).status_code == 200
    assert state(site, number) is DeliveryState.WAITING


def test_what_a_delivery_cannot_undergo_is_refused_and_changes_nothing(site: Site) -> None:
    number = delivery(site)
    claimed = site.ledger.outbox.claim("pacs", "me/1", 60, 5)
    assert claimed is not None
    answer = site.client.post(f"/deliveries/{number}/drop", headers=OURS, data={"back": "/"})
    assert answer.status_code == 409
    assert "sending" in answer.json()["error"]
    assert state(site, number) is DeliveryState.SENDING


@pytest.mark.parametrize("number", ["4711", "0", "9" * 40, "x", "1.5", "-1"])
def test_a_delivery_that_there_is_not_is_not_found(site: Site, number: str) -> None:
    delivery(site)
    for act in ("retry", "drop"):
        path = f"/deliveries/{number}/{act}"
        assert site.client.post(path, headers=OURS, data={"back": "/"}).status_code == 404


def test_no_page_of_another_site_drops_a_delivery_and_nobody_who_may_only_look(site: Site, tmp_path: Path) -> None:
    number = delivery(site)
    path = f"/deliveries/{number}/drop"
    assert site.client.post(path, data={"back": "/"}).status_code == 403
    assert site.client.post(path, data={"back": "/"}, headers={"Origin": "http://evil.example"}).status_code == 403
    account, secret = new_account("anna", Role.LOOK)
    write_accounts(tmp_path / "accounts.toml", [account])
    app = Login(site.client.app, Accounts(tmp_path / "accounts.toml"), site.metrics, site.looks)
    client = TestClient(app, base_url="http://127.0.0.1:8443", headers={"Authorization": f"Bearer {secret}"})
    assert client.post(path, data={"back": "/"}, headers={"Origin": "http://127.0.0.1:8443"}).status_code == 403
    assert f'id="drop-{number}"' not in client.get("/deliveries").text
    assert f'id="drop-{number}"' in site.client.get("/deliveries").text
    assert state(site, number) is DeliveryState.WAITING


def test_deliveries_are_paged_filtered_and_all_of_them_reached(site: Site) -> None:
    jobs = [site.answered(orthanc_id(number)) for number in range(60)]
    for job in jobs:
        site.ledger.outbox.route(job, [Planned("pacs", "r", ("sr",)), Planned("hook", "r")])
    seen: list[int] = []
    link: str | None = "/deliveries?to=pacs"
    while link:
        page = site.client.get(link).text
        numbers = [int(one) for one in re.findall(r'id="delivery-(\d+)"', page)]
        assert len(numbers) <= 50
        seen += numbers
        older = re.search(r'href="(/deliveries\?before=[^"]+)"', page)
        link = older[1].replace("&amp;", "&") if older else None
    assert len(seen) == 60
    assert seen == sorted(seen, reverse=True)


def test_a_destination_without_a_delivery_is_a_neighbour_too(site: Site) -> None:
    delivery(site, "hook")
    shown = words(site.client.get("/neighbours").text)
    assert "hook no longer in the settings waiting 1" in shown
    assert "pacs nothing waits 0" in shown


def test_the_model_page_says_what_answers_since_when_and_what_happened_before(site: Site) -> None:
    facts = ModelFacts("hemorrhage_detector_4", "4", "cd" * 32)
    site.ledger.models.record(ModelEvent.LOADED, facts, "carl@box")
    site.ledger.models.take_over(ModelEvent.PROMOTED, facts, "carl@box", "better at SAH", 0)
    job = site.answered(STUDY)
    site.judge(job)
    shown = words(site.client.get("/model").text)
    for one in ("hemorrhage_detector 3", "ab" * 32, "openvino-int8", "0.500", "by carl@box", "better at SAH"):
        assert one in shown
    assert "100 % (1 of 1; 95 % interval 21 to 100 %)" in shown


def test_the_model_page_says_that_another_triton_stands_in_and_why(site: Site) -> None:
    assert "stands in" not in words(site.client.get("/model").text)
    site.stands_in = "Triton at 127.0.0.1:8401 was left: CUDA says nothing <any more>"
    shown = words(site.client.get("/model").text)
    assert "another one stands in for it. Answers are right; they may take longer. Triton at 127.0.0.1:8401" in shown
    assert site.stands_in in shown


def test_the_model_page_says_that_an_earlier_version_stands_in_and_why(site: Site) -> None:
    assert "an earlier one" not in words(site.client.get("/model").text)
    site.passed_over = "Triton does not load hemorrhage_detector_2: <no version is available>"
    shown = words(site.client.get("/model").text)
    assert (
        f"The promoted version of the network is not served, and an earlier one stands in for it. {site.passed_over}"
        in shown
    )


def test_a_feature_that_has_drifted_is_named(site: Site) -> None:
    assert "Not compared yet" in words(site.client.get("/model").text)
    site.metrics.drift_distance.labels("noise_hu").set(0.6)
    site.metrics.drift_limit.labels("noise_hu").set(0.25)
    shown = words(site.client.get("/model").text)
    assert "noise hu 0.60 0.25 drifted" in shown


def test_the_log_is_newest_first_paged_and_about_one_study_if_that_is_named(site: Site) -> None:
    for number in range(30):
        site.answered(orthanc_id(number))
    first = site.client.get("/log").text
    numbers = [int(one) for one in re.findall(r'id="entry-(\d+)"', first)]
    assert len(numbers) == 50
    assert numbers == sorted(numbers, reverse=True)
    older = re.search(r'href="(/log\?before=[^"]+)"', first)
    assert older
    second = [int(one) for one in re.findall(r'id="entry-(\d+)"', site.client.get(older[1]).text)]
    assert second
    assert max(second) == min(numbers) - 1
    about = words(site.client.get("/log", params={"study": f"1.2.{orthanc_id(3)}"}).text)
    assert "decided" in about
    assert orthanc_id(4) not in about


@pytest.mark.parametrize("page", ["/queue", "/deliveries", "/neighbours", "/model", "/log"])
def test_a_page_for_it_is_whole_and_says_research_use(site: Site, page: str) -> None:
    delivery(site)
    answer = site.client.get(page)
    Markup(answer.text)
    assert "Research use only" in words(answer.text)
    assert 'aria-current="page"' in answer.text
