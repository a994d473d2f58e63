# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What readers say of the answers, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from appliance.errors import UnavailableError
from appliance.ledger.opinions import Count
from appliance.opinions.agreement import agreements

_SHOWN: Final = 12
"""So many characters of a sha256 are in a label."""


class OpinionCollector(Collector):
    """Counts the opinions in the ledger at each scrape."""

    def __init__(self, counts: Callable[[], Sequence[Count]]) -> None:
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        """Yield how many answers were judged how, and what share of the positives was right; nothing without a ledger.

        The share is not there before a positive was judged: no figure is better than a zero that means nothing.
        """
        judged = GaugeMetricFamily(
            "hemorrhage_opinions",
            "Studies that readers judged, by network, by what the answer said and what the newest opinion says of it",
            labels=["model", "sha256", "answer", "opinion"],
        )
        right = GaugeMetricFamily(
            "hemorrhage_positive_predictive_value",
            "Share of the judged answers `hemorrhage` that were right, by network (figure=estimate), and the ends "
            "of its 95 % interval by Wilson (lower, upper)",
            labels=["model", "sha256", "figure"],
        )
        with suppress(UnavailableError):
            counts = self._counts()
            for one in counts:
                labels = [one.model, one.model_sha256[:_SHOWN], one.outcome.value, one.reason.value or one.stance.value]
                judged.add_metric(labels, one.studies)
            for said in agreements(counts):
                share = said.positive_predictive_value
                if share.whole:
                    figures = zip(("estimate", "lower", "upper"), (share.value, *share.interval), strict=True)
                    for figure, value in figures:
                        right.add_metric([said.model, said.model_sha256[:_SHOWN], figure], value)
        yield judged
        yield right
