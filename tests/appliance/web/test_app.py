# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.errors import Refusal, RefusalCode, UnavailableError
from appliance.intake.doorbell import Ring
from appliance.intake.requests import TooManyRequestsError
from appliance.orthanc_errors import NotThereError
from appliance.results.wording import RESEARCH_USE
from appliance.web.app import OwnResultError
from tests.appliance.web.site import ANSWER, MODEL, OTHER, SERIES, Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.ledger.close()


class TestDoorbell:
    def test_a_ring_is_put_in_the_box(self, site: Site) -> None:
        ring = {
            "instances": {SERIES: 12.5},
            "series": {SERIES: "stable", OTHER: "deleted"},
            "studies": {SERIES: "deleted"},
            "orthanc": "started",
        }
        assert site.client.post("/doorbell", json=ring).status_code == 204
        news = site.bell.take()
        assert news.stamps == {SERIES: 12.5}
        assert list(news.deleted_studies) == [SERIES]
        assert list(news.deleted_series) == [OTHER]
        assert news.orthanc_started

    @pytest.mark.parametrize("odd", ["", "../system", "x" * 50_000, SERIES.upper(), f"{SERIES}\n", "\u0660" * 44])
    def test_an_odd_identifier_is_left_out_and_counted_and_takes_nothing_else_with_it(
        self, site: Site, odd: str
    ) -> None:
        ring = {
            "instances": {odd: 1.0, SERIES: 12.5},
            "series": {odd: "deleted"},
            "studies": {odd: "deleted", OTHER: "deleted"},
        }
        assert site.client.post("/doorbell", json=ring).status_code == 204
        news = site.bell.take()
        assert (news.stamps, list(news.deleted_studies), list(news.deleted_series)) == ({SERIES: 12.5}, [OTHER], [])
        assert "hemorrhage_odd_ring_entries_total 3.0" in site.client.get("/metrics").text

    def test_what_is_kept_of_many_rings_is_bounded(self, site: Site) -> None:
        for part in range(30):
            names = [f"{part:08x}-{number:08x}-00000000-00000000-00000000" for number in range(1000)]
            site.bell.ring(
                Ring(dict.fromkeys(names, 1.0), dict.fromkeys(names, "deleted"), dict.fromkeys(names, "deleted"))
            )
        news = site.bell.take()
        assert len(news.stamps) == len(news.deleted_studies) == len(news.deleted_series) == 20_000
        assert names[-1] in news.deleted_studies

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"[]",
            b"{",
            b'{"instances": {"a": "soon"}}',
            b'{"instances": {"a": NaN}}',
            b'{"instances": {"a": Infinity}}',
            b'{"orthanc": "asleep"}',
            b'{"orthanc": ["started"]}',
            b'{"studies": {"a": "burnt"}}',
            b'{"studies": {"a": ["deleted"]}}',
            b'{"series": "deleted"}',
            b'{"instances": {"a": 1' + b"0" * 400 + b"}}",
        ],
    )
    def test_what_is_no_ring_is_turned_down(self, site: Site, body: bytes) -> None:
        assert site.client.post("/doorbell", content=body).status_code == 400

    def test_a_ring_that_is_too_long_is_turned_down(self, site: Site) -> None:
        assert site.client.post("/doorbell", content=b" " * (2**18 + 1)).status_code == 413

    def test_a_page_of_another_site_cannot_ring(self, site: Site) -> None:
        assert site.client.post("/doorbell", json={}, headers={"Origin": "http://evil.example"}).status_code == 403
        assert site.client.post("/doorbell", json={}, headers={"Origin": "http://127.0.0.1:8044"}).status_code == 204


class TestAnalyze:
    def test_a_request_is_taken_as_a_job(self, site: Site) -> None:
        answer = site.client.post(f"/series/{SERIES}/analyze")
        assert (answer.status_code, answer.json()) == (202, {"job": 17})

    @pytest.mark.parametrize(
        ("fault", "status"),
        [(NotThereError("no"), 404), (OwnResultError(), 409), (UnavailableError("Orthanc is away"), 503)],
    )
    def test_a_request_that_cannot_be_taken_says_why(self, site: Site, fault: Exception, status: int) -> None:
        site.faults["analyze"] = fault
        answer = site.client.post(f"/series/{SERIES}/analyze")
        assert answer.status_code == status
        assert answer.json()["error"]

    def test_one_request_too_many_is_told_when_to_come_again(self, site: Site) -> None:
        site.faults["analyze"] = TooManyRequestsError("20 answers are on their way", 4.2)
        answer = site.client.post(f"/series/{SERIES}/analyze")
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "5")
        assert "20 answers" in answer.json()["error"]

    def test_what_is_no_identifier_never_reaches_orthanc(self, site: Site) -> None:
        site.faults["analyze"] = AssertionError("it did")
        assert site.client.post("/series/..%2Fsystem/analyze").status_code == 404
        assert site.client.post("/series/../analyze").status_code == 404


class TestStatus:
    def test_an_answered_study_tells_its_answer_its_series_and_its_times(self, site: Site) -> None:
        site.answered("a")
        (study,) = site.client.get("/status").json()["studies"]
        assert study["state"] == "done"
        assert study["present"] is True
        assert study["lesions"] == ANSWER["lesions"]
        assert study["series"]["uid"] == "1.2.3.4"
        assert study["refusals"] == [{"series_uid": "1.2.3.5", "code": "localizer", "reason": "a scout"}]
        assert study["turnaround_s"] == 2.75
        assert study["timing_ms"] == {"quiet": 2000.0, "read": 41.0}
        assert study["last_instance"] == "2027-01-15T08:00:00.000Z"

    def test_a_study_that_is_waited_for_says_what_for(self, site: Site) -> None:
        refusal = Refusal(RefusalCode.LOCALIZER, "a scout", "1.2.3.5")
        site.ledger.studies.miss(site.study("a"), "no head series yet", [refusal])
        (study,) = site.client.get("/status").json()["studies"]
        assert (study["state"], study["waiting_for"]) == ("incomplete", "no head series yet")
        assert study["refusals"][0]["code"] == "localizer"
        assert study["present"] is None

    def test_a_study_that_grows_keeps_its_answer_in_sight(self, site: Site) -> None:
        site.answered("a")
        site.study("a", at=1_800_000_100.0)
        (study,) = site.client.get("/status").json()["studies"]
        assert (study["state"], study["present"]) == ("receiving", True)

    def test_the_newest_come_first_and_no_more_than_asked_for(self, site: Site) -> None:
        for number, name in enumerate("abc"):
            site.answered(name, at=1_800_000_000.0 + number)
        told = site.client.get("/status", params={"limit": 2}).json()["studies"]
        assert [study["orthanc_id"] for study in told] == ["c", "b"]
        assert len(site.client.get("/status?limit=many").json()["studies"]) == 3

    def test_a_study_that_is_named_is_told_of_however_old_it_is(self, site: Site) -> None:
        for number, name in enumerate("abc"):
            site.answered(name, at=1_800_000_000.0 + number)
        told = site.client.get("/status", params={"limit": 1, "study": "a"}).json()["studies"]
        assert [study["orthanc_id"] for study in told] == ["a"]
        assert site.client.get("/status?study=unknown").json()["studies"] == []

    def test_jobs_neighbours_and_model_are_told(self, site: Site) -> None:
        site.answered("a")
        document = site.client.get("/status").json()
        assert document["jobs"]["done"] == 1
        assert document["neighbours"]["orthanc"]["well"] is True
        assert document["model"] == ANSWER["model"]
        assert document["notice"] == f"Not a medical device. {RESEARCH_USE}"

    @pytest.mark.parametrize(
        ("ahead_s", "told", "shown"),
        [
            (None, None, ""),
            (0.0, 0.0, ""),
            (-3600.04, -3600.0, "its clock is 3600 s behind"),
            (12.3, 12.3, "12 s ahead"),
        ],
    )
    def test_how_far_the_clocks_are_apart_is_told(
        self, site: Site, ahead_s: float | None, told: float | None, shown: str
    ) -> None:
        site.ahead_s = ahead_s
        assert site.client.get("/status").json()["orthanc_clock_ahead_s"] == told
        page = site.client.get("/neighbours").text
        assert shown in page if shown else "its clock" not in page


class TestHealth:
    def test_a_service_whose_neighbour_is_away_lives_and_is_not_ready(self, site: Site) -> None:
        assert site.client.get("/health/ready").json() == {"ready": True, "reasons": {}, "model": MODEL}
        site.faults["orthanc"] = UnavailableError("Orthanc is away")
        site.health.ask()
        answer = site.client.get("/health/ready")
        assert (answer.status_code, answer.json()["reasons"]) == (503, {"orthanc": "Orthanc is away"})
        assert site.client.get("/health/live").status_code == 200
        assert "Orthanc is away" in site.client.get("/neighbours").text

    def test_a_service_that_lost_a_thread_does_not_live(self, site: Site) -> None:
        site.ended.append("intake")
        answer = site.client.get("/health/live")
        assert (answer.status_code, answer.json()) == (503, {"live": False, "ended": ["intake"]})

    def test_metrics_tell_jobs_neighbours_and_versions(self, site: Site) -> None:
        site.answered("a")
        site.metrics.model.info(ANSWER["model"])
        text = site.client.get("/metrics").text
        assert 'hemorrhage_jobs{state="done"} 1.0' in text
        assert 'hemorrhage_jobs{state="queued"} 0.0' in text
        assert 'hemorrhage_studies{state="decided"} 1.0' in text
        assert 'hemorrhage_reachable{neighbour="orthanc"} 1.0' in text
        assert "hemorrhage_ready 1.0" in text
        assert 'version="3"' in text
        assert 'hemorrhage_refusals_total{code="missing_slice",study="refused"} 0.0' in text

    def test_every_metric_of_ours_says_what_it_is(self, site: Site) -> None:
        helps = re.findall(r"# HELP (hemorrhage_\S+) (.*)", site.client.get("/metrics").text)
        assert len(helps) > 8
        assert all(len(text) > 15 for _, text in helps)
