# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What CONTRIBUTING says is added in one place: each test adds one there, and looks wherever it must turn up.

A type of result, a fact of a lesion, a column, a check and a mimic are added in the tests of their folders.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import pytest
from prometheus_client import Counter, generate_latest
from pydantic import Field
from pydicom.uid import generate_uid
from typer.testing import CliRunner

from appliance import metrics as metrics_module
from appliance import pipeline, settings_sources
from appliance.analyze import folder_contents, result
from appliance.cli import app
from appliance.errors import Refusal, RefusalCode, RefusedError, SettingsError
from appliance.health import Health
from appliance.imaging.volume import Volume
from appliance.ledger.ledger import Ledger
from appliance.ledger.records import Arrival, KnownSeries, NewJob, Origin
from appliance.metrics import Metrics
from appliance.pipeline import Pipeline, UnreadAnswer
from appliance.sections.intake import IntakeSettings
from appliance.settings import Settings
from appliance.settings_sources import load_settings
from appliance.web.status import status_document
from tests.appliance.ledger.new_ledger import ledger_in
from tests.appliance.stand_in import StandInDetector, head_series
from tests.appliance.web.site import Site, orthanc_id

LATER_CODES = StrEnum("LATER_CODES", {**{code.name: code.value for code in RefusalCode}, "UPSIDE_DOWN": "upside_down"})
"""The refusal codes of a later version, which has one more."""
STUDY = orthanc_id(1)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = ledger_in(tmp_path / "ledger.sqlite")
    yield made
    made.close()


def test_one_new_refusal_code_stands_in_result_json_the_ledger_the_status_the_page_and_the_metrics(
    tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Volume) -> None:
        raise RefusedError(Refusal(LATER_CODES.UPSIDE_DOWN, "the head stands on its vertex"))  # type: ignore[attr-defined]

    monkeypatch.setattr(pipeline, "check", refuse)
    monkeypatch.setattr(metrics_module, "RefusalCode", LATER_CODES)
    uid = str(generate_uid())
    folder = tmp_path / "study"
    folder.mkdir()
    for number, file in enumerate(head_series(uid)):
        (folder / f"{number}.dcm").write_bytes(file)
    answer = Pipeline(Settings(), StandInDetector()).answer(folder_contents(folder).studies[uid])  # type: ignore[arg-type]
    assert isinstance(answer, UnreadAnswer)
    assert result(answer, (), None)["refusals"][0]["code"] == "upside_down"

    series = KnownSeries("series", STUDY, Origin.SOURCE, 1)
    ledger.feed.notice([Arrival(STUDY, uid, 1.0, 1.0, True, (series,))])
    ledger.studies.decide(ledger.studies.list_followed()[0], NewJob("set", "chosen"))
    job = ledger.queue.claim("me", 60)
    assert job is not None
    ledger.jobs.refuse(job, answer.refusals, {})
    document = status_document(ledger, Health({}, lambda _: None), None, 10)
    assert document["studies"][0]["refusals"][0]["code"] == "upside_down"
    site = Site(tmp_path, ledger=ledger)
    for page in ("/", f"/studies/{STUDY}"):
        assert "the head stands on its vertex" in site.client.get(page).text.lower()
    exposed = generate_latest(Metrics(dict, dict).registry).decode()
    assert 'hemorrhage_refusals_total{code="upside_down",study="refused"} 0.0' in exposed


def test_one_new_metric_is_told_to_prometheus(ledger: Ledger, tmp_path: Path) -> None:
    class LaterMetrics(Metrics):
        def __init__(self) -> None:
            super().__init__(dict, dict)
            self.yawns = Counter("hemorrhage_yawns", "How often it was dull", registry=self.registry)

    metrics = LaterMetrics()
    metrics.yawns.inc(3)
    told = Site(tmp_path, ledger=ledger, metrics=metrics).client.get("/metrics").text
    assert "# HELP hemorrhage_yawns_total How often it was dull" in told
    assert "hemorrhage_yawns_total 3.0" in told


class LaterIntake(IntakeSettings):
    """The section of a later version, with one more setting."""

    coffee_s: float = Field(60.0, ge=1, le=600, description="How long nobody looks, s")


class LaterSettings(Settings):
    """The settings of a later version."""

    intake: LaterIntake = LaterIntake()


def test_one_new_setting_is_read_shown_with_its_meaning_and_told_of_where_it_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings_sources, "Settings", LaterSettings)
    file = tmp_path / "appliance.toml"
    file.write_text("[intake]\ncoffee_s = 90\n")
    assert load_settings(file).intake.coffee_s == 90  # type: ignore[attr-defined]
    shown = CliRunner().invoke(app, ["settings", "--settings", str(file)], env={"COLUMNS": "200"}).stdout
    (line,) = [line for line in shown.splitlines() if "intake.coffee_s" in line]
    assert "90" in line
    assert "How long nobody looks, s" in line
    monkeypatch.setenv("APPLIANCE_INTAKE__COFFEE_S", "9000")
    with pytest.raises(SettingsError, match=r"intake\.coffee_s = '9000': .*less than or equal to 600"):
        load_settings(file)
    monkeypatch.delenv("APPLIANCE_INTAKE__COFFEE_S")
    file.write_text("[intake]\ncofee_s = 90\n")
    with pytest.raises(SettingsError, match=r"did you mean intake\.coffee_s\?"):
        load_settings(file)
