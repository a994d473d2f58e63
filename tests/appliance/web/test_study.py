# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from appliance.errors import UnavailableError
from appliance.ledger.outbox import Planned
from appliance.web.accounts import Accounts, Role, new_account, write_accounts
from appliance.web.login import Login
from tests.appliance.web.markup import Markup, words
from tests.appliance.web.site import PART, Site, key_image, orthanc_id

STUDY, OTHER = orthanc_id(1), orthanc_id(2)
OURS = {"Origin": "http://127.0.0.1:8044"}


def said(site: Site) -> list[str]:
    return [one.stance.value for one in site.ledger.opinions.entries()]


def test_a_study_shows_what_was_found_why_the_series_was_read_and_what_was_passed_over(site: Site) -> None:
    series = {"uid": "1.2.3.4", "description": "Head 5.0", "slices": 32, "reasons": ["soft-tissue kernel"]}
    site.answered(STUDY, series=series)
    site.patient(STUDY)
    shown = words(site.client.get(f"/studies/{STUDY}").text)
    for one in ("Muster, Max", "P1 · M · 69 y · CT head", "EDH/SDH 31.2 mL", "0.930", "threshold 0.500", "large"):
        assert one in shown
    assert "soft-tissue kernel" in shown
    assert "Localizer. a scout Series 1.2.3.5" in shown
    assert "Key image 2 of 2" in shown


def test_a_part_of_a_head_is_warned_of_with_what_is_missing_and_a_flaw_with_its_sentence(site: Site) -> None:
    missing = "the top of the head is missing: the highest slice still shows 140 cm2"
    flaw = {"code": "motion", "reason": "the head moved: 3 of 20 slices"}
    site.answered(STUDY, present=False, lesions=[], coverage=PART | {"missing": [missing]}, flaws=[flaw])
    shown = words(site.client.get(f"/studies/{STUDY}").text)
    assert "None found partial" in shown
    assert f"In the part of the head that was read. {missing[0].upper()}{missing[1:]}." in shown
    assert "Image quality: motion. The head moved: 3 of 20 slices." in shown


def test_a_refused_study_says_why_with_its_code_in_words(site: Site) -> None:
    site.refused(STUDY)
    shown = words(site.client.get(f"/studies/{STUDY}").text)
    assert "Missing slice. Between slices 4 and 5 lie 12 mm. Series 1.2.3.6" in shown
    assert "Disagree Missed bleed Could have been read Other reason, as noted" in shown


def test_an_earlier_answer_is_shown_as_superseded_with_what_was_said_of_it_and_the_new_one_is_asked_about(
    site: Site,
) -> None:
    older = site.answered(STUDY)
    site.judge(older)
    site.answered(STUDY, at=1_800_000_500.0)
    text = site.client.get(f"/studies/{STUDY}").text
    earlier = words(text[text.index('id="earlier"') :])
    assert "Earlier answers, which no longer count" in earlier
    assert "agreed" in earlier
    assert "Nobody has judged this answer yet." in words(text)
    assert site.judge(older, "disagrees", reason="false alarm", seen="1").status_code == 409


def test_a_refusal_from_before_the_study_was_read_is_among_the_earlier_answers(site: Site) -> None:
    site.refused(STUDY)
    site.answered(STUDY, at=1_800_000_500.0)
    text = site.client.get(f"/studies/{STUDY}").text
    assert "Not read" in words(text[text.index('id="earlier"') :])
    assert "Not read" not in words(text[: text.index('id="earlier"')])


def test_deliveries_of_a_study_are_on_its_page(site: Site) -> None:
    job = site.answered(STUDY)
    site.ledger.outbox.route(job, [Planned("pacs", "all", ("sr",))])
    assert "waiting sr to pacs" in words(site.client.get(f"/studies/{STUDY}").text)


@pytest.mark.parametrize("study", ["nonsense", OTHER, f"{STUDY}x"])
def test_a_study_that_nobody_knows_is_not_found(site: Site, study: str) -> None:
    site.answered(STUDY)
    answer = site.client.get(f"/studies/{study}", headers={"Accept": "text/html"})
    assert answer.status_code == 404


def test_the_title_of_a_page_keeps_up_with_what_it_shows(site: Site) -> None:
    site.study(STUDY)
    site.patient(STUDY, PatientName='Muster^"Max" <b>')
    (before,) = Markup(site.client.get(f"/studies/{STUDY}").text).values("data-title")
    assert before.startswith('being received: Muster, "Max" <b> – ')
    site.answered(STUDY, at=1_800_000_000.0)
    (after,) = Markup(site.client.get(f"/studies/{STUDY}", headers={"HX-Request": "true"}).text).values("data-title")
    assert after.startswith('Hemorrhage: Muster, "Max" <b> – ')


class TestKeyImages:
    def test_a_key_image_comes_as_png_with_the_pixels_that_orthanc_holds(self, site: Site) -> None:
        job = site.answered(STUDY)
        answer = site.client.get(f"/studies/{STUDY}/answers/{job.id}/key-images/1.png")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
        assert answer.headers["cache-control"] == "no-store"
        pixels = np.asarray(Image.open(io.BytesIO(answer.content)))
        assert pixels.shape == (64, 96, 3)
        assert tuple(pixels[30, 45]) == (255, 40, 40)
        assert tuple(pixels[0, 0]) == (90, 90, 90)

    def test_only_a_key_image_of_an_answer_of_that_study_is_given(self, site: Site) -> None:
        job, other = site.answered(STUDY), site.answered(OTHER)
        site.shelf.files[f"{STUDY} sr"] = key_image()
        base = f"/studies/{STUDY}/answers"
        for path in (
            f"{base}/{job.id}/key-images/3.png",
            f"{base}/{other.id}/key-images/1.png",
            f"{base}/{'9' * 5000}/key-images/1.png",
            f"{base}/{job.id}/key-images/sr.png",
            f"{base}/{job.id}/key-images/-1.png",
            f"/studies/x/answers/{job.id}/key-images/1.png",
        ):
            assert site.client.get(path).status_code == 404, path

    def test_none_is_shown_from_memory_once_the_study_was_deleted_and_nothing_can_be_judged_there(
        self, site: Site
    ) -> None:
        job = site.answered(STUDY)
        path = f"/studies/{STUDY}/answers/{job.id}/key-images/1.png"
        assert site.client.get(path).status_code == 200
        site.ledger.studies.delete(STUDY)
        assert site.client.get(path).status_code == 404
        page = site.client.get(f"/studies/{STUDY}").text
        assert "Orthanc no longer holds this study." in words(page)
        assert "key-images" not in page
        assert "Agree" not in words(page)

    def test_who_looked_at_one_is_in_the_audit_trail(self, site: Site) -> None:
        job = site.answered(STUDY)
        site.client.get(f"/studies/{STUDY}/answers/{job.id}/key-images/1.png")
        site.looks.write(site.ledger.audit.record)
        assert [one.details.get("study") for one in site.ledger.audit.entries() if one.event == "looked"] == [STUDY]

    def test_one_that_orthanc_no_longer_holds_is_not_found_and_one_that_cannot_be_read_is_a_fault(
        self, site: Site
    ) -> None:
        job = site.answered(STUDY)
        path = f"/studies/{STUDY}/answers/{job.id}/key-images/1.png"
        site.shelf.files[f"{STUDY} key-image-1"] = b"no DICOM"
        assert site.client.get(path).status_code == 500
        del site.shelf.files[f"{STUDY} key-image-1"]
        assert site.client.get(path).status_code == 404
        site.shelf.fault = UnavailableError("Orthanc is away")
        assert site.client.get(path).status_code == 503


class TestOpinions:
    def test_an_opinion_leads_back_to_its_page_and_nowhere_else(self, site: Site) -> None:
        job = site.answered(STUDY)
        assert site.judge(job).headers["location"] == f"/studies/{STUDY}"
        for seen, (back, leads_to) in enumerate(
            [
                ("/", "/"),
                ("/board?group=found", "/board?group=found"),
                ("//evil.example", "/"),
                ("/\\evil.example", "/"),
                ("https://evil.example", "/"),
                ("/x\r\nSet-Cookie: a=b", "/"),
            ],
            start=1,
        ):
            reason = ("false alarm", "wrong type")[seen % 2]
            answer = site.judge(job, "disagrees", reason=reason, seen=str(seen), back=back)
            assert (answer.status_code, answer.headers["location"]) == (303, leads_to)

    def test_a_live_page_is_told_to_look_again(self, site: Site) -> None:
        job = site.answered(STUDY)
        answer = site.client.post(
            f"/studies/{STUDY}/answers/{job.id}/opinion",
            data={"stance": "agrees"},
            headers={**OURS, "HX-Request": "true"},
        )
        assert (answer.status_code, answer.headers["hx-trigger"]) == (204, "changed")

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({}, 403),
            ({"Origin": "null"}, 403),
            ({"Origin": "http://evil.example"}, 403),
            ({"Origin": "http://127.0.0.1:8045"}, 403),
            ({"Sec-Fetch-Site": "cross-site"}, 403),
            ({"Sec-Fetch-Site": "none"}, 403),
            ({"Sec-Fetch-Site": "same-origin"}, 303),
            (OURS, 303),
        ],
    )
    def test_only_a_page_of_ours_may_send_one(self, site: Site, headers: dict[str, str], status: int) -> None:
        job = site.answered(STUDY)
        answer = site.client.post(
            f"/studies/{STUDY}/answers/{job.id}/opinion",
            data={"stance": "agrees"},
            headers=headers,
            follow_redirects=False,
        )
        assert answer.status_code == status
        assert said(site) == (["agrees"] if status == 303 else [])

    @pytest.mark.parametrize(
        ("body", "kind", "status"),
        [
            ("stance=agrees", "application/json", 415),
            ("stance=agrees", "multipart/form-data; boundary=x", 415),
            ("stance=agrees&stance=agrees", None, 400),
            ("stance", None, 400),
            ("stance=%ff%fe", None, 400),
            ("stance=agrees&seen=one", None, 400),
            ("stance=agrees&seen=" + "9" * 30, None, 400),
            ("stance=loves", None, 400),
            ("stance=disagrees&reason=dislike", None, 400),
            ("stance=disagrees", None, 422),
            ("stance=disagrees&reason=other", None, 422),
            ("stance=disagrees&reason=other&note=" + "x" * 501, None, 422),
            ("stance=agrees&note=" + "x" * 20_000, None, 413),
            ("&".join(f"a{n}=1" for n in range(30)), None, 400),
            ("stance=agrées", None, 400),
        ],
    )
    def test_what_is_no_opinion_is_turned_down_with_a_reason_and_leaves_nothing(
        self, site: Site, body: str, kind: str | None, status: int
    ) -> None:
        job = site.answered(STUDY)
        kind = kind or "application/x-www-form-urlencoded"
        answer = site.client.post(
            f"/studies/{STUDY}/answers/{job.id}/opinion",
            content=body.encode(),
            headers={**OURS, "Content-Type": kind},
            follow_redirects=False,
        )
        assert (answer.status_code, said(site)) == (status, [])
        assert answer.json()["error"]

    def test_an_answer_of_another_study_cannot_be_judged_through_this_one(self, site: Site) -> None:
        site.answered(STUDY)
        job = site.answered(OTHER)
        path = f"/studies/{STUDY}/answers/{job.id}/opinion"
        assert site.client.post(path, data={"stance": "agrees"}, headers=OURS).status_code == 404
        assert said(site) == []

    def test_a_browser_is_answered_with_a_page_and_its_note_is_text(self, site: Site) -> None:
        job = site.answered(STUDY)
        answer = site.client.post(
            f"/studies/{STUDY}/answers/{job.id}/opinion",
            data={"stance": "disagrees"},
            headers={**OURS, "Accept": "text/html"},
        )
        assert answer.status_code == 422
        assert "say why; one of these is allowed: false alarm" in words(answer.text)
        assert site.judge(job, "disagrees", reason="other", note="<b onclick='x'>bold</b>").status_code == 303
        page = site.client.get(f"/studies/{STUDY}").text
        assert Markup(page).values("onclick") == []
        assert "<b onclick='x'>bold</b>" in words(page)

    def test_who_may_only_look_sees_no_button_and_is_refused(self, site: Site, tmp_path: Path) -> None:
        pairs = {role: new_account(role.value, role) for role in (Role.LOOK, Role.ACT)}
        write_accounts(tmp_path / "accounts.toml", [account for account, _ in pairs.values()])
        app = Login(site.client.app, Accounts(tmp_path / "accounts.toml"), site.metrics, site.looks)
        job = site.answered(STUDY)
        for role, status, buttons in ((Role.LOOK, 403, False), (Role.ACT, 303, True)):
            key = {"Authorization": f"Bearer {pairs[role][1]}"}
            client = TestClient(app, base_url="http://127.0.0.1:8443", headers=key)
            for page in ("/", f"/studies/{STUDY}"):
                assert ("Agree" in words(client.get(page).text)) is buttons
            assert client.get(f"/studies/{STUDY}/answers/{job.id}/key-images/1.png").status_code == 200
            assert site.judge(job, client=client).status_code == status
        assert [one.who for one in site.ledger.opinions.entries()] == ["act"]
