# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The panels as a dashboard of Grafana, by Grafana's own library."""

from __future__ import annotations

from typing import Any, Final

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BigValueGraphMode,
    GraphGradientMode,
    StackingMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import DataSourceRef, Threshold, ThresholdsMode

from deploy.grafana.panels import ROWS, Kind, Panel

UID: Final = "hemorrhage-appliance"
SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${prometheus}")


def dashboard_json() -> str:
    """Return the dashboard as the JSON that Grafana imports."""
    page = (
        dashboard.Dashboard("Hemorrhage appliance")
        .uid(UID)
        .description("Head CTs answered, how fast, and what stands in the way. Alerts: docs/alerts.md.")
        .tags(["hemorrhage-appliance"])
        .refresh("30s")
        .time("now-6h", "now")
        .timezone("browser")
        .with_variable(dashboard.DatasourceVariable("prometheus").label("Prometheus").type("prometheus"))
    )
    for row in ROWS:
        page.with_row(dashboard.Row(row.title))
        for panel in row.panels:
            page.with_panel(_number(panel) if panel.kind is Kind.NUMBER else _lines(panel))
    return str(JSONEncoder(sort_keys=True, indent=2).encode(page.build())) + "\n"


def _number(panel: Panel) -> Any:
    """Return a panel of one number, coloured by its thresholds."""
    shown = stat.Panel().height(4).graph_mode(BigValueGraphMode.NONE).thresholds(_thresholds(panel))
    shown = shown.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    return _complete(shown, panel)


def _lines(panel: Panel) -> Any:
    """Return a panel of lines over time, on one another where they add up."""
    shown = timeseries.Panel().height(8).min(0).show_points(VisibilityMode.AUTO)
    shown = shown.legend(common.VizLegendOptions().show_legend(True))
    if panel.kind is Kind.STACK:
        shown = shown.stacking(common.StackingConfig().mode(StackingMode.NORMAL)).fill_opacity(30)
        shown = shown.gradient_mode(GraphGradientMode.NONE)
    return _complete(shown, panel)


def _complete(shown: Any, panel: Panel) -> Any:
    """Return a panel with what panels of both kinds have."""
    shown = shown.title(panel.title).description(panel.description).unit(panel.unit.value)
    shown = shown.span(panel.width).datasource(SOURCE)
    for number, query in enumerate(panel.queries):
        target = prometheus.Dataquery().expr(query.expression).ref_id(chr(ord("A") + number))
        shown = shown.with_target(target.legend_format(query.legend or "__auto"))
    return shown


def _thresholds(panel: Panel) -> Any:
    """Return a number's colours: green to red where more is worse, red to green where less is."""
    steps = [Threshold(None, panel.colours[0])]
    steps += [Threshold(limit, colour) for limit, colour in zip(panel.limits, panel.colours[1:], strict=True)]
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)
