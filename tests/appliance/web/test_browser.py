# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The pages in a real browser, over a real ledger: what they do by themselves, and whether everybody can use them.

`tests/end_to_end/test_board.py` does it with real studies.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from appliance.ledger.outbox import Planned
from deploy.local.ports import free_ports
from tests.appliance.web.site import PART, Site, orthanc_id
from tests.browser import barriers, chromium, tab

FOUND, CLEAR, REFUSED, PARTIAL, COMING, LATER = map(orthanc_id, range(1, 7))
SETTLED_MS = 1000
"""A click that follows a move of the list sooner than a person can see it is not taken."""
PAGES = {
    "board": "/",
    "group": "/board?group=found",
    "study": f"/studies/{FOUND}",
    "refused": f"/studies/{REFUSED}",
    "partial": f"/studies/{PARTIAL}",
    "coming": f"/studies/{COMING}",
    "fault": "/studies/nonsense",
    "queue": "/queue",
    "deliveries": "/deliveries",
    "neighbours": "/neighbours",
    "model": "/model",
    "log": "/log",
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an appliance that has something on each page; nothing is changed there."""
    site = Site(tmp_path_factory.mktemp("shown"))
    lesion = {"type": "sah", "volume_ml": 2.0, "abc2_ml": 1.9, "size_class": "small", "confidence": 0.7, "slices": 2}
    job = site.answered(FOUND, flaws=[{"code": "motion", "reason": "the head moved"}], lesions=[lesion])
    site.judge(job)
    site.judge(job, "disagrees", reason="other", note="something else", seen="1")
    site.answered(CLEAR, present=False, lesions=[], coverage=None)
    site.answered(PARTIAL, present=False, lesions=[], coverage=PART | {"missing": ["the top is missing"]})
    site.refused(REFUSED)
    site.ledger.studies.miss(site.study(COMING), "a slice is missing", [])
    site.answered(LATER)
    site.answered(LATER, at=1_800_000_500.0)
    for name in (FOUND, CLEAR, LATER):
        site.patient(name)
    site.ledger.outbox.route(job, [Planned("pacs", "all", ("sr",)), Planned("hook", "all")])
    with site.served() as url:
        yield url
    site.ledger.close()


@pytest.mark.parametrize("page", PAGES)
def test_no_page_has_a_serious_barrier_or_a_fault_by_day_or_by_night(browser: Browser, shown: str, page: str) -> None:
    with tab(browser, shown) as (view, faults):
        view.goto(PAGES[page])
        for summary in view.locator("summary").all():
            summary.click()
        for colours in ("light", "dark"):
            view.emulate_media(color_scheme=colours)
            assert barriers(view) == [], colours
        broken = "image => !(image.complete && image.naturalWidth)"
        assert view.locator("img").evaluate_all(f"all => all.filter({broken}).length") == 0
        assert [one for one in faults if page != "fault" or "404" not in one] == []


def test_the_switch_between_day_and_night_outlasts_the_page_and_changes_every_colour(
    browser: Browser, shown: str
) -> None:
    with tab(browser, shown, color_scheme="light") as (view, _):
        view.goto("/")
        ground = "getComputedStyle(document.body).backgroundColor"
        day = view.evaluate(ground)
        view.get_by_role("button", name="Switch to night colours").click()
        night = view.evaluate(ground)
        assert night != day
        view.goto("/log")
        assert view.evaluate(ground) == night
        assert barriers(view) == []
        view.get_by_role("button", name="Switch to day colours").click()
        assert view.evaluate(ground) == day


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    for number in range(20):
        made.answered(orthanc_id(100 + number), at=1_800_000_000.0 + number)
    yield made
    made.ledger.close()


def rows(view: Page) -> list[str]:
    found: list[str] = view.locator("tr[data-study]").evaluate_all("all => all.map(row => row.dataset.study)")
    return found


def test_a_new_hemorrhage_comes_to_the_top_by_itself_and_takes_neither_focus_nor_place_from_the_reader(
    browser: Browser, site: Site
) -> None:
    with site.served() as url, tab(browser, url) as (view, faults):
        view.goto("/")
        mine = view.locator(f"#open-{orthanc_id(102)}")
        mine.scroll_into_view_if_needed()
        mine.focus()
        view.locator(f"#why-{orthanc_id(104)} summary").evaluate("summary => summary.click()")
        before = mine.bounding_box()
        site.patient(LATER, PatientName="Later^Lea")
        site.answered(LATER, at=1_800_001_000.0)
        expect(view.locator(f"#study-{LATER}")).to_be_attached()
        assert rows(view)[0] == LATER
        assert view.evaluate("document.activeElement.id") == f"open-{orthanc_id(102)}"
        after = mine.bounding_box()
        assert before is not None
        assert after is not None
        assert abs(after["y"] - before["y"]) < 2
        assert view.locator(f"#why-{orthanc_id(104)}").get_attribute("open") is not None
        expect(view.locator("#told")).to_have_text("New: hemorrhage found, Later, Lea")
        assert view.title().startswith("(21) ")
        assert faults == []


def test_what_a_reader_types_stays_while_the_page_keeps_itself_up_to_date(browser: Browser, site: Site) -> None:
    study = orthanc_id(100)
    (job,) = site.ledger.jobs.of_study(study)
    with site.served() as url, tab(browser, url) as (view, faults):
        view.goto(f"/studies/{study}")
        note = view.locator(f"#note-{job.id}")
        note.fill("half a sen")
        site.judge(job)
        expect(view.get_by_text("agreed", exact=True).first).to_be_visible()
        assert note.input_value() == "half a sen"
        assert view.evaluate("document.activeElement.id") == f"note-{job.id}"
        assert faults == []


def test_one_click_agrees_another_disagrees_and_a_third_takes_it_back(browser: Browser, site: Site) -> None:
    first, second = orthanc_id(119), orthanc_id(118)
    with site.served() as url, tab(browser, url) as (view, faults):
        view.goto("/")
        view.locator(f"#agree-{first}").press("Enter")
        expect(view.locator("#done")).to_contain_text("Agreed about")
        assert view.evaluate("document.activeElement.id") == f"agree-{second}"  # the keyboard goes on
        expect(view.locator(f'[data-group="read"] #study-{first}')).to_be_visible()
        view.wait_for_timeout(SETTLED_MS)
        view.locator(f"#why-{second} summary").click()
        view.locator(f"#why-{second}").get_by_role("button", name="False alarm").click()
        expect(view.locator(f'[data-group="read"] #study-{second}')).to_be_visible()
        view.locator(f"#open-{second}").click()
        view.get_by_role("button", name="Take it back").click()
        expect(view.get_by_text("Nobody has judged this answer yet.")).to_be_visible()
        assert faults == []
    said = [(one.orthanc_study, one.stance.value, one.reason.value) for one in site.ledger.opinions.entries()]
    assert said == [
        (first, "agrees", ""),
        (second, "disagrees", "false alarm"),
        (second, "taken back", ""),
    ]


def test_a_click_that_comes_too_late_is_told_why_and_changes_nothing(browser: Browser, site: Site) -> None:
    study = orthanc_id(119)
    (job,) = site.ledger.jobs.of_study(study)
    with site.served() as url, tab(browser, url) as (view, _):
        view.goto(f"/studies/{study}")
        view.locator("#live").evaluate("live => live.removeAttribute('hx-get')")  # a page that is not up to date
        view.evaluate("window.stop()")
        site.judge(job, "disagrees", reason="wrong type")
        view.get_by_role("button", name="Agree", exact=True).click()
        expect(view.locator("#refused")).to_contain_text("Not done: this machine was the last")
    assert len(list(site.ledger.opinions.entries())) == 1


def test_enter_in_the_note_is_no_opinion(browser: Browser, site: Site) -> None:
    study = orthanc_id(119)
    (job,) = site.ledger.jobs.of_study(study)
    with site.served() as url:
        for scripts in (True, False):
            with tab(browser, url, java_script_enabled=scripts) as (view, _):
                view.goto(f"/studies/{study}")
                note = view.locator(f"#note-{job.id}")
                note.fill("the subdural is smaller")
                note.press("Enter")
                view.get_by_role("button", name="Wrong extent").click()
                expect(view.get_by_text("disagreed: wrong extent").first).to_be_visible()
    said = [(one.reason.value, one.note) for one in site.ledger.opinions.entries()]
    assert said[0] == ("wrong extent", "the subdural is smaller")
    assert {reason for reason, _ in said} == {"wrong extent"}


def test_the_list_does_not_move_under_the_hand_that_is_about_to_click(browser: Browser, site: Site) -> None:
    mine = orthanc_id(118)
    with site.served() as url, tab(browser, url) as (view, faults):
        view.goto("/")
        button = view.locator(f"#agree-{mine}")
        box = button.bounding_box()
        assert box is not None
        site.answered(LATER, at=1_800_001_000.0)
        fetched = 0
        while fetched < 2:  # the new study came twice, and the hand never rested
            with view.expect_response(lambda one: urlsplit(one.url).path == "/" and one.status == 200) as answer:
                for step in range(30):
                    view.mouse.move(box["x"] + 5 + step % 3, box["y"] + 5)
                    view.wait_for_timeout(200)
            fetched += answer.value.ok
        assert button.bounding_box() == box
        view.mouse.down()
        view.mouse.up()
        expect(view.locator("#done")).to_contain_text("Agreed about")
        view.mouse.move(5, 5)
        expect(view.locator(f"#study-{LATER}")).to_be_visible()
        assert faults == []
    assert [one.orthanc_study for one in site.ledger.opinions.entries()] == [mine]


def test_an_older_hemorrhage_that_moves_up_the_list_is_not_told_of_as_new(browser: Browser, site: Site) -> None:
    for number in range(15):
        site.answered(orthanc_id(200 + number), at=1_800_000_100.0 + number)
    with site.served() as url, tab(browser, url) as (view, _):
        view.goto("/")
        assert view.title().startswith("(35) ")
        assert len(rows(view)) == 30
        (job,) = site.ledger.jobs.of_study(orthanc_id(214))
        site.judge(job)
        expect(view.locator(f'[data-group="read"] #study-{orthanc_id(214)}')).to_be_visible()
        assert view.title().startswith("(34) ")
        expect(view.locator("#told")).to_be_empty()


def test_a_click_while_the_connection_is_lost_is_told_as_not_done_and_stays_so_after_it_is_back(
    browser: Browser, site: Site
) -> None:
    (port,) = free_ports(1)
    with tab(browser, f"http://127.0.0.1:{port}") as (view, _):
        with site.served(port):
            view.goto("/")
        view.locator(f"#agree-{orthanc_id(119)}").click()
        expect(view.locator("#refused")).to_contain_text("the connection is lost")
        expect(view.locator("#connection")).not_to_be_empty()
        with site.served(port):
            expect(view.locator("#connection")).to_be_empty()
            expect(view.locator("#refused")).to_contain_text("Not done")
    assert list(site.ledger.opinions.entries()) == []


def test_a_lost_connection_is_told_and_its_return_too(browser: Browser, site: Site) -> None:
    (port,) = free_ports(1)
    with tab(browser, f"http://127.0.0.1:{port}") as (view, _):
        with site.served(port):
            view.goto("/")
            banner = view.locator("#connection")
            expect(banner).to_be_empty()
        # The service has ended; the page is still open.
        expect(banner).to_contain_text("The connection to the appliance is lost since")
        assert rows(view)
        with site.served(port):
            expect(banner).to_be_empty()


def test_without_scripts_everything_is_read_and_a_form_still_works(browser: Browser, site: Site) -> None:
    study = orthanc_id(119)
    with site.served() as url, tab(browser, url, java_script_enabled=False) as (view, _):
        view.goto("/")
        assert view.locator("tr[data-study]").count() == 20
        view.locator(f"#open-{study}").click()
        view.get_by_role("button", name="Agree", exact=True).click()
        expect(view.get_by_text("agreed", exact=True).first).to_be_visible()
        assert view.url.endswith(f"/studies/{study}")
    assert [one.orthanc_study for one in site.ledger.opinions.entries()] == [study]


def test_a_page_of_another_site_cannot_give_an_opinion_in_a_readers_name(browser: Browser, site: Site) -> None:
    (job,) = site.ledger.jobs.of_study(orthanc_id(119))
    with site.served() as url, tab(browser, url) as (view, _):
        action = f"{url}/studies/{job.orthanc_study}/answers/{job.id}/opinion"
        view.set_content(
            f'<form method="post" action="{action}"><button name="stance" value="agrees">Win</button></form>'
        )
        with view.expect_navigation():
            view.get_by_role("button").click()
        assert "another site" in view.content()
    assert list(site.ledger.opinions.entries()) == []


def test_a_keyboard_reaches_everything_in_order_and_may_skip_the_menu(browser: Browser, shown: str) -> None:
    with tab(browser, shown) as (view, _):
        view.goto("/")
        view.keyboard.press("Tab")
        assert view.evaluate("document.activeElement.className") == "skip"
        view.keyboard.press("Enter")
        view.keyboard.press("Tab")
        assert view.evaluate("document.activeElement.closest('main') !== null")
