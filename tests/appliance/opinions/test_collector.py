# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from appliance.errors import UnavailableError
from appliance.opinions.collector import OpinionCollector
from tests.appliance.web.site import Site, orthanc_id

MODEL = {"model": "3", "sha256": "ab" * 6}


def test_the_metrics_tell_what_readers_said_and_what_share_of_the_positives_was_right(tmp_path: Path) -> None:
    site = Site(tmp_path)
    jobs = [site.answered(orthanc_id(number)) for number in range(10)]
    for job in jobs[:8]:
        site.judge(job)
    for job in jobs[8:]:
        site.judge(job, "disagrees", reason="false alarm")
    assert "hemorrhage_positive_predictive_value{" in site.client.get("/metrics").text
    value = site.metrics.registry.get_sample_value
    name = "hemorrhage_positive_predictive_value"
    assert value(name, MODEL | {"figure": "estimate"}) == 0.8
    assert value(name, MODEL | {"figure": "lower"}) == pytest.approx(0.4902, abs=5e-5)
    assert value(name, MODEL | {"figure": "upper"}) == pytest.approx(0.9433, abs=5e-5)
    assert value("hemorrhage_opinions", MODEL | {"answer": "present", "opinion": "false alarm"}) == 2
    assert value("hemorrhage_opinions", MODEL | {"answer": "present", "opinion": "agrees"}) == 8
    site.ledger.close()


def test_nothing_is_told_before_a_reader_has_said_anything_or_while_the_ledger_is_away() -> None:
    def away() -> tuple[()]:
        raise UnavailableError("the ledger is away")

    for counts in (tuple, away):
        registry = CollectorRegistry()
        registry.register(OpinionCollector(counts))
        assert [sample for family in registry.collect() for sample in family.samples] == []
