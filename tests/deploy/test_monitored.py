# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus and a real Alertmanager, with the shipped files, beside a running appliance."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from appliance.settings import Settings
from deploy.grafana.panels import ROWS
from deploy.grafana.picture import Source, draw
from deploy.local.appliance import LocalAppliance
from deploy.local.demo import wait_for_answers
from deploy.local.ports import with_free_ports
from deploy.local.storescu import send
from simulator.diagnosis import Diagnosis
from simulator.population import CLEAR
from simulator.study import StudySpec, write_study
from tests.objective.watching import SHIPPED, Watching, watch

pytestmark = pytest.mark.end_to_end
LONGEST_S = 240.0
PANELS = [panel for row in ROWS for panel in row.panels]
ALERT = "HemorrhageNeighbourAway"


@dataclass
class Monitored(Watching):
    """The appliance, and what watches it."""

    appliance: LocalAppliance


def until(holds: Callable[[], Any], what: str) -> Any:
    """Return what `holds` returns once it is true; an error of a server that starts counts as not yet."""
    end = time.monotonic() + LONGEST_S
    seen: object = None
    while time.monotonic() < end:
        try:
            seen = holds()
            if seen:
                return seen
        except (httpx.HTTPError, KeyError) as error:
            seen = error
        time.sleep(0.3)
    raise AssertionError(f"{what}: not after {LONGEST_S:.0f} s, last {seen!r}")


def with_seconds(text: str) -> str:
    """Return a shipped file with seconds where it has minutes."""
    return re.sub(r"(_interval|_wait|\bfor): \d+[sm]\b", r"\1: 1s", text)


@pytest.fixture(scope="module")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    folder = tmp_path_factory.mktemp("monitored")
    with (
        LocalAppliance(with_free_ports(Settings(), folder / "state")) as appliance,
        watch(appliance.settings, folder, with_seconds) as watching,
    ):
        seen = Monitored(watching.prometheus, watching.on_call, appliance)
        until(lambda: len(seen.query("targets")["activeTargets"]) == 3, "three targets")
        yield seen


def test_service_triton_and_orthanc_are_read_as_shipped(monitored: Monitored) -> None:
    def health() -> bool:
        targets = monitored.query("targets")["activeTargets"]
        assert {target["labels"]["job"] for target in targets} == {"hemorrhage", "triton", "orthanc"}
        return all(target["health"] == "up" for target in targets)

    until(health, "each target is up")


def test_every_metric_that_a_rule_names_is_read_from_the_running_appliance(
    monitored: Monitored, tmp_path: Path
) -> None:
    spec = StudySpec(88_000_001, Diagnosis.IPH, volume_ml=40, population=CLEAR.name, new_uids=True)
    written = write_study(spec, tmp_path)
    settings = monitored.appliance.settings
    send(written.all_files, settings.orthanc)
    uid = written.truth.study_uid
    records = wait_for_answers(f"http://{settings.service.host}:{settings.service.port}", {uid}, LONGEST_S)
    assert records[uid]["state"] == "done"
    rules = (SHIPPED / "rules/hemorrhage.rules.yml").read_text()
    named = set(re.findall(r"\bhemorrhage_\w+", rules.replace("expr: |", ""))) | {"up"}
    assert len(named) > 12

    def missing() -> set[str]:
        families = set(monitored.query("metadata", limit="5000")) | {"up"}
        return {name for name in named if re.sub(r"_(bucket|count|sum)$", "", name) not in families | named & families}

    until(lambda: not missing(), "every metric is there")

    def unwell() -> list[str]:
        groups = monitored.query("rules")["groups"]
        rules_read = [rule for group in groups for rule in group["rules"]]
        assert rules_read
        return [rule["name"] for rule in rules_read if rule["health"] != "ok"]

    until(lambda: not unwell(), "every rule is evaluated without a fault")
    late = "hemorrhage:turnaround_seconds:p95_1h"
    until(lambda: monitored.query("query", query=f"{late} > 0")["result"], "the turnaround is recorded")


def test_every_panel_of_the_dashboard_shows_what_the_running_appliance_did(
    monitored: Monitored, tmp_path: Path
) -> None:
    spec = StudySpec(88_000_002, Diagnosis.NONE, population=CLEAR.name, new_uids=True)
    settings = monitored.appliance.settings
    written = write_study(spec, tmp_path)
    send(written.all_files, settings.orthanc)
    wait_for_answers(f"http://{settings.service.host}:{settings.service.port}", {written.truth.study_uid}, LONGEST_S)
    missing = [""]

    def all_show() -> bool:
        """Ask every query up to now, as a wrong one raises."""
        source = Source(monitored.prometheus, span_s=300)
        shown = {panel: [line for query in panel.queries for line in source.ask(query)] for panel in PANELS}
        missing[:] = [
            panel.title
            for panel, lines in shown.items()
            if not panel.idle and not any(np.isfinite(line.values).any() for line in lines)
        ]
        return not missing

    try:
        until(all_show, "every panel has a figure")
    except AssertionError as error:
        raise AssertionError(f"nothing in {', '.join(missing)}") from error
    draw(Source(monitored.prometheus, span_s=300), tmp_path / "dashboard.png", "in a test")
    assert (tmp_path / "dashboard.png").stat().st_size > 10_000


def test_a_triton_that_is_killed_pages_whoever_is_on_call_and_is_told_of_again_when_it_is_back(
    monitored: Monitored,
) -> None:
    triton = monitored.appliance.triton
    triton.kill()
    try:
        until(lambda: "firing" in monitored.on_call.states(ALERT, "/on-call"), "the page")
        note = next(
            note for _, path, note in monitored.on_call.notes if path == "/on-call" and ALERT in json.dumps(note)
        )
        told = next(one for one in note["alerts"] if one["labels"]["alertname"] == ALERT)
        assert told["labels"]["neighbour"] == "triton"
        assert told["annotations"]["handbook"] == f"docs/alerts.md#{ALERT.lower()}"
    finally:
        triton.stop()
        triton.start()
    until(lambda: monitored.on_call.states(ALERT, "/on-call")[-1] == "resolved", "the end of the page")
