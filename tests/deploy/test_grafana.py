# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The Grafana dashboard: its file, its metrics and its picture. A real Prometheus answers it in `test_monitored`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from typer.testing import CliRunner

from appliance.metrics import Metrics
from deploy.grafana.__main__ import FILE, app
from deploy.grafana.dashboard import dashboard_json
from deploy.grafana.panels import ROWS, Kind, Panel

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "rules" / "hemorrhage.rules.yml"
PANELS = [panel for row in ROWS for panel in row.panels]


def test_the_file_that_grafana_imports_is_that_of_the_panels() -> None:
    assert FILE.read_text() == dashboard_json(), "write it anew: python -m deploy.grafana write"


def test_the_file_holds_each_panel_with_its_queries_and_explanation() -> None:
    there = {one["title"]: one for one in json.loads(FILE.read_text())["panels"]}
    for panel in PANELS:
        assert [target["expr"] for target in there[panel.title]["targets"]] == [
            query.expression for query in panel.queries
        ]
        assert there[panel.title]["description"] == panel.description
    assert [one for one in there if there[one]["type"] == "row"] == [row.title for row in ROWS]


def test_panels_lie_beside_and_below_one_another_and_fill_the_page() -> None:
    seen: set[tuple[int, int]] = set()
    for one in json.loads(FILE.read_text())["panels"]:
        place = one["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & seen, one["title"]
        seen |= cells
    assert {x for x, _ in seen} == set(range(24))
    for row in ROWS:
        assert sum(panel.width for panel in row.panels) % 24 == 0, row.title


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.title)
def test_every_metric_of_the_service_that_a_panel_asks_for_is_one_that_it_has(panel: Panel) -> None:
    families = set(re.findall(r"^# TYPE (\w+)", generate_latest(Metrics(dict, dict).registry).decode(), re.M))
    recorded = set(re.findall(r"record: (\S+)", RULES.read_text()))
    for query in panel.queries:
        for name in re.findall(r"\bhemorrhage:[\w:]+", query.expression):
            assert name in recorded
        for name in re.findall(r"\bhemorrhage_\w+", query.expression):
            assert {name, re.sub(r"_(bucket|count|sum)$", "", name)} & families, name


@pytest.mark.parametrize("panel", [one for one in PANELS if one.kind is Kind.NUMBER], ids=lambda panel: panel.title)
def test_a_number_has_a_colour_for_each_side_of_its_limits(panel: Panel) -> None:
    assert len(panel.colours) == len(panel.limits) + 1
    assert list(panel.limits) == sorted(panel.limits)


def test_a_prometheus_that_is_away_is_said_in_one_sentence(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["picture", "--prometheus", "http://127.0.0.1:9", "--out", str(tmp_path / "a.png")]
    )
    assert result.exit_code == 1
    assert "Prometheus at http://127.0.0.1:9 did not answer" in result.output
    assert not (tmp_path / "a.png").exists()
