# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A reader at the board while studies come in: real Orthanc, Triton and service, and a real browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import barriers, chromium, tab
from tests.end_to_end.command import appliance
from tests.end_to_end.patient import Patient
from tests.end_to_end.running import PATIENCE_S, Running

SEEN_MS = 1000 * PATIENCE_S


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


def test_a_hemorrhage_comes_to_the_top_by_itself_and_is_opened_agreed_to_exported_and_counted(
    browser: Browser, running: Running, bleeding: Patient, healthy: Patient, tmp_path: Path
) -> None:
    clear = healthy.study(tmp_path / "clear")
    running.send(clear.all_files)
    running.answered(clear.truth.study_uid)
    before = running.metrics()
    with tab(browser, running.local.service.url) as (view, faults):
        view.goto("/")
        clear_row = view.locator(f"#study-{running.orthanc_study(clear.truth.study_uid)}")
        expect(clear_row).to_contain_text("None found")

        bleed = bleeding.study(tmp_path / "bleed")
        running.send(bleed.all_files)
        study = running.orthanc_study(bleed.truth.study_uid)
        row = view.locator(f'[data-group="found"] #study-{study}')
        expect(row).to_be_visible(timeout=SEEN_MS)  # nobody touched the page
        assert view.locator("tr[data-study]").first.get_attribute("data-study") == study
        expect(row).to_contain_text("Hemorrhage")
        expect(row).to_contain_text(bleeding_patient_number(running, study))

        row.get_by_role("link").first.click()
        (answer,) = running.study(bleed.truth.study_uid)["jobs"]
        pictures = view.locator("figure img")
        assert pictures.count() == len(running.stored(bleed.truth.study_uid).key_images)
        for picture in pictures.all():
            picture.scroll_into_view_if_needed()
            assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") >= 512
        assert barriers(view) == []
        view.get_by_role("button", name="Agree", exact=True).click()
        expect(view.get_by_text("agreed", exact=True).first).to_be_visible(timeout=SEEN_MS)

        view.goto("/")
        expect(view.locator(f'[data-group="read"] #study-{study}')).to_be_visible()
        assert faults == []

    done = appliance("opinions", "export", "--json", "--patients", "--settings", running.settings_file)
    assert done.returncode == 0, done.stderr
    (said,) = [one for one in json.loads(done.stdout) if one["study_uid"] == bleed.truth.study_uid]
    assert (said["answer"], said["stance"], said["who"]) == ("present", "agrees", "this machine")
    assert (said["job"], said["report_uid"]) == (answer["job"], answer["sr_uid"])
    assert said["patient_id"] == bleeding_patient_number(running, study)
    plain = appliance("opinions", "export", "--settings", running.settings_file).stdout
    assert bleed.truth.study_uid in plain
    assert said["patient_id"] not in plain

    now = running.metrics()
    judged = {name for name in now if name.startswith("hemorrhage_opinions[") and "[agrees]" in name}
    assert sum(now[name] for name in judged) == sum(before.get(name, 0) for name in judged) + 1
    assert any(name.startswith("hemorrhage_positive_predictive_value") and "[estimate]" in name for name in now)


def bleeding_patient_number(running: Running, study: str | None) -> str:
    """Return the patient's number, as Orthanc has it."""
    held = running.orthanc.get(f"/studies/{study}").raise_for_status().json()
    return str(held["PatientMainDicomTags"]["PatientID"])
