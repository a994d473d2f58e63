# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import tomllib

import pytest

from appliance.errors import UnavailableError
from appliance.findings.change import Doubt, Withheld
from appliance.ledger.outcomes import Standing
from appliance.ledger.records import NewJob
from appliance.results.wording import RESEARCH_USE
from appliance.web.board import place_of, place_words
from appliance.web.pages import STATIC, TEMPLATES
from tests.appliance.results.compared import compared, scan
from tests.appliance.web.markup import Markup, words
from tests.appliance.web.site import ANSWER, PART, Site, orthanc_id

POSITIVE, NEGATIVE, PARTIAL, REFUSED, NEWER = map(orthanc_id, range(1, 6))
NONE_FOUND = {"present": False, "lesions": [], "coverage": None}


def order(text: str) -> list[str]:
    return re.findall(r'id="study-([0-9a-f-]+)"', text)


@pytest.fixture
def night(site: Site) -> Site:
    """A site with a study of each kind, the least urgent ones the newest."""
    site.answered(POSITIVE, at=1_800_000_000.0)
    site.refused(REFUSED, at=1_800_000_100.0)
    site.answered(PARTIAL, at=1_800_000_200.0, present=False, lesions=[], coverage=PART)
    site.answered(NEGATIVE, at=1_800_000_300.0, **NONE_FOUND)
    site.answered(NEWER, at=1_800_000_400.0, **NONE_FOUND)
    return site


def test_a_hemorrhage_comes_before_newer_studies_without_one_and_the_newest_of_a_group_first(night: Site) -> None:
    assert order(night.client.get("/").text) == [POSITIVE, PARTIAL, REFUSED, NEWER, NEGATIVE]


def test_a_study_that_was_read_leaves_its_group_and_comes_back_when_the_opinion_is_taken_back(night: Site) -> None:
    (job,) = night.ledger.jobs.of_study(POSITIVE)
    assert night.judge(job).status_code == 303
    assert order(night.client.get("/").text)[-1] == POSITIVE
    seen = next(iter(night.ledger.opinions.entries())).id
    assert night.judge(job, "taken back", seen=str(seen)).status_code == 303
    assert order(night.client.get("/").text)[0] == POSITIVE


def test_a_row_says_what_was_found_in_whom_how_sure_and_when(site: Site) -> None:
    site.answered(POSITIVE)
    site.patient(POSITIVE)
    shown = words(site.client.get("/").text)
    for said in ("Muster, Max", "P1 · M · 69 y", "Accession A1", "Hemorrhage", "EDH/SDH 31.2 mL", "0.930", "2.8 s"):
        assert said in shown
    assert "2027-01-15 08:00:00" in shown
    assert RESEARCH_USE in shown
    assert "Not a medical device" in shown


def test_growth_since_the_prior_ct_is_on_the_board_and_in_words_on_the_studys_page(site: Site) -> None:
    site.answered(POSITIVE)
    (job,) = site.ledger.jobs.of_study(POSITIVE)
    site.ledger.priors.note_change(job, compared(scan(edh_sdh=20.0), scan(edh_sdh=31.25)).facts)
    row = words(site.client.get("/").text)
    assert "grown" in row
    assert "+11.2 mL" in row
    page = words(site.client.get(f"/studies/{POSITIVE}").text)
    assert "The hemorrhage has GROWN: EDH/SDH by more than 6 mL." in page
    site.ledger.priors.note_change(job, Withheld(Doubt.OTHER_BIRTH_DATE).facts)
    page = words(site.client.get(f"/studies/{POSITIVE}").text)
    assert "No comparison with a prior CT, because the birth dates differ" in page


def test_none_found_in_a_part_is_never_said_without_the_part(night: Site) -> None:
    text = night.client.get("/").text
    row = words(text[text.index(f'id="study-{PARTIAL}"') :].partition("</tr>")[0])
    assert "None found partial" in row
    assert "in the part of the head that was read" in row


def test_a_refused_study_says_why_in_the_words_of_its_reason(night: Site) -> None:
    text = night.client.get("/").text
    row = words(text[text.index(f'id="study-{REFUSED}"') :].partition("</tr>")[0])
    assert "Not read" in row
    assert "between slices 4 and 5 lie 12 mm" in row


def test_of_two_hemorrhages_in_a_study_the_one_that_nobody_judged_is_asked_about(site: Site) -> None:
    job = site.answered(POSITIVE)
    site.judge(job)
    series = site.ledger.queue.request(POSITIVE, job.study_uid, NewJob("", "", series="another series"))
    claimed = site.ledger.queue.claim("me", 60)
    assert claimed is not None
    assert claimed.id == series
    site.ledger.jobs.deliver(claimed, [], ANSWER, [], "other", "1.2.3.9")
    site.ledger.jobs.finish(claimed, "1.88", "1.9.other", {}, None)
    text = site.client.get("/").text
    row = text[text.index(f'id="study-{POSITIVE}"') :].partition("</tr>")[0]
    assert f"/answers/{series}/opinion" in row
    assert "and 1 more answer; 1 of 2 judged" in words(row)
    assert order(text) == [POSITIVE]


OLD_ANSWER = {"present": True, "probability": 0.9, "threshold": 0.5, "lesions": [{"type": "sah", "volume_ml": 3.0}]}


@pytest.mark.parametrize(
    "old",
    [
        OLD_ANSWER,
        OLD_ANSWER | {"coverage": {"partial": True}, "series": {"uid": "1.2"}, "model": {"version": "1"}},
        OLD_ANSWER | {"flaws": [{"code": "motion"}], "lesions": None, "coverage": None},
        {"present": False},
    ],
)
def test_an_answer_of_an_older_version_is_shown_as_far_as_it_goes(site: Site, old: dict[str, object]) -> None:
    job = site.answered(POSITIVE)
    with sqlite3.connect(site.file) as database:
        database.execute("UPDATE jobs SET answer = ? WHERE id = ?", (json.dumps(old), job.id))
    for page in ("/", f"/studies/{POSITIVE}"):
        answer = site.client.get(page)
        assert answer.status_code == 200
        assert "Muster" not in answer.text


def test_a_study_that_cannot_be_shown_says_so_and_hides_no_other(site: Site) -> None:
    broken, _ = site.answered(POSITIVE), site.answered(NEWER, at=1_800_000_500.0)
    with sqlite3.connect(site.file) as database:
        database.execute("UPDATE jobs SET answer = ? WHERE id = ?", ('{"present": true, "lesions": 7}', broken.id))
    answer = site.client.get("/")
    assert answer.status_code == 200
    assert order(answer.text) == [NEWER, POSITIVE]
    assert "cannot be shown" in words(answer.text)


def test_what_is_on_the_way_is_shown_above_the_groups(site: Site) -> None:
    site.ledger.studies.miss(site.study(NEWER), "a slice between 4 and 5 is missing", [])
    shown = words(site.client.get("/").text)
    assert "waits for images" in shown
    assert "a slice between 4 and 5 is missing" in shown
    assert shown.index("On the way") < shown.index("Hemorrhage found – unread")


def test_an_empty_appliance_says_what_to_do(site: Site) -> None:
    assert "Send a head CT" in site.client.get("/").text


def test_what_a_scanner_wrote_is_text_and_never_markup(site: Site) -> None:
    evil = '<script>alert(1)</script>" onmouseover="alert(2)'
    site.answered(POSITIVE, flaws=[{"code": "x", "reason": evil}], series={"description": evil, "uid": evil})
    site.patient(POSITIVE, PatientName=evil, PatientID=evil, AccessionNumber=evil, StudyDescription=evil)
    for page in ("/", f"/studies/{POSITIVE}"):
        markup = Markup(site.client.get(page).text)
        assert [attributes for tag, attributes in markup.elements if tag == "script" and "src" not in attributes] == []
        assert markup.values("onmouseover") == []


def test_a_page_is_well_formed_and_loads_nothing_from_anywhere_else(night: Site) -> None:
    answer = night.client.get("/")
    markup = Markup(answer.text)
    loaded = [*markup.values("src"), *markup.values("href"), *markup.values("action"), *markup.values("hx-get")]
    assert loaded
    assert all(one.startswith(("/", "#")) and not one.startswith("//") for one in loaded)
    assert markup.values("style") == []
    assert "url(" not in answer.text
    assert len(markup.values("id")) == len(set(markup.values("id")))
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-store"


def test_the_live_part_is_answered_only_when_it_has_changed(site: Site) -> None:
    site.answered(POSITIVE)
    whole = Markup(site.client.get("/").text)
    (seen,) = whole.values("data-seen")
    poll = {"HX-Request": "true", "X-Seen": seen}
    again = site.client.get("/", headers=poll)
    assert (again.status_code, again.text) == (204, "")
    site.answered(NEWER)
    changed = site.client.get("/", headers=poll)
    assert changed.status_code == 200
    assert "<html" not in changed.text
    assert order(changed.text) == [NEWER, POSITIVE]
    assert Markup(changed.text).values("data-seen") != [seen]


def test_names_are_missing_and_nothing_else_while_orthanc_is_away_and_nobody_waits_for_it_twice(night: Site) -> None:
    night.shelf.fault = UnavailableError("Orthanc does not answer")
    for _ in range(3):
        shown = night.client.get("/").text
        assert order(shown)[0] == POSITIVE
        assert "Orthanc does not answer: names, numbers" in words(shown)
    assert night.shelf.asked == 1


def test_a_thousand_studies_are_paged_and_every_one_of_them_is_reached(site: Site) -> None:
    names = [orthanc_id(number) for number in range(130)]
    for number, name in enumerate(names):
        site.answered(name, at=1_800_000_000.0 + number)
    first = site.client.get("/").text
    assert len(order(first)) == 30
    assert "Hemorrhage found – unread 130" in words(first)
    seen = order(first)
    link = re.search(r'href="(/board\?group=found&amp;after=[^"]+)"', first)
    while link:
        page = site.client.get(link[1].replace("&amp;", "&")).text
        assert len(order(page)) <= 50
        seen += order(page)
        link = re.search(r'href="(/board\?group=found&amp;after=[^"]+)"', page)
    assert seen == names[::-1]


@pytest.mark.parametrize(
    "after", ["", ",", "nan,x", f"nan,{POSITIVE}", f"inf,{POSITIVE}", "1.5,../etc", f"1.5;{POSITIVE}"]
)
def test_an_address_that_names_no_place_begins_at_the_newest(night: Site, after: str) -> None:
    assert place_of(after) is None
    assert order(night.client.get("/board", params={"group": "found", "after": after}).text) == [POSITIVE]
    assert night.client.get("/board", params={"group": "nonsense", "after": after}).status_code == 200


def test_a_place_comes_back_from_its_address(night: Site) -> None:
    (one,) = night.ledger.board.page(Standing.FOUND, 1)
    assert place_of(place_words(one.place)) == one.place


def test_what_readers_said_of_the_network_that_answers_is_on_the_board_with_its_interval(site: Site) -> None:
    jobs = [site.answered(orthanc_id(number)) for number in range(10)]
    other = site.answered(orthanc_id(99), model={"name": "x", "version": "2", "sha256": "cd" * 32})
    for job in [*jobs[:8], other]:
        assert site.judge(job).status_code == 303
    for job in jobs[8:]:
        assert site.judge(job, "disagrees", reason="false alarm").status_code == 303
    shown = words(site.client.get("/").text)
    assert "80 % (8 of 10; 95 % interval 49 to 94 %)" in shown
    assert "not the sensitivity" in shown


def test_the_templates_and_what_they_load_are_part_of_the_package_that_is_installed() -> None:
    build = tomllib.loads((TEMPLATES.parents[2] / "pyproject.toml").read_text())
    patterns = build["tool"]["setuptools"]["package-data"]["appliance.web"]
    packaged = {path for pattern in patterns for path in TEMPLATES.parent.glob(pattern)}
    assert {*TEMPLATES.iterdir(), *STATIC.iterdir()} <= packaged


def test_htmx_is_the_very_file_whose_sha256_stands_beside_it() -> None:
    digest = hashlib.sha256((STATIC / "htmx.min.js").read_bytes()).hexdigest()
    assert f"sha256 {digest}" in (STATIC / "htmx.min.js.license").read_text()
