# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The head CT before this one, as rules see it."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import generate_uid

from appliance.delivery.prior import Prior, scanned_at
from appliance.delivery.variables import Situation, values_of
from tests.appliance.delivery.jobs import job
from tests.appliance.delivery.receivers import Hook
from tests.appliance.delivery.site import Site, post_at
from tests.appliance.stand_in import head_series


def of(**volumes: float) -> dict[str, Any]:
    """Return an answer about a whole head with these volumes, mL."""
    lesions = [{"type": kind, "volume_ml": ml} for kind, ml in volumes.items()]
    return {"present": bool(volumes), "probability": 0.9, "lesions": lesions, "coverage": {"partial": False}}


def compared(then: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    return values_of(Situation(job(answer=now), prior=Prior(job(id=3, answer=then), 6.5)))


@pytest.mark.parametrize(
    ("then", "now", "change", "grown"),
    [
        (of(iph=30.0), of(iph=36.1), 6.1, True),  # more than 6 mL
        (of(iph=30.0), of(iph=35.9), 5.9, False),
        (of(iph=3.0), of(iph=4.1), 1.1, True),  # more than a third
        (of(iph=3.0), of(iph=3.9), 0.9, False),
        (of(iph=30.0), of(iph=12.0), -18.0, False),
        (of(), of(iph=20.0), 20.0, False),  # new, not grown: `prior == "absent"` says so
    ],
)
def test_growth_is_more_than_six_millilitres_or_a_third_of_a_type_that_was_there(
    then: dict[str, Any], now: dict[str, Any], change: float, grown: bool
) -> None:
    values = compared(then, now)
    assert values["change_ml"]["iph"] == pytest.approx(change)
    assert values["grown"] is grown
    assert (values["prior"], values["prior_hours"]) == ("present" if then["present"] else "absent", 6.5)


def test_one_type_that_shrinks_hides_no_other_that_grows() -> None:
    assert compared(of(iph=30.0, sah=5.0), of(iph=20.0, sah=7.0))["grown"]


def test_a_part_of_a_head_is_compared_with_nothing() -> None:
    part = of(iph=60.0) | {"coverage": {"partial": True}}
    for then, now in ((part, of(iph=90.0)), (of(iph=30.0), part)):
        values = compared(then, now)
        assert set(values["change_ml"].values()) == {0.0}
        assert not values["grown"]


def test_without_a_prior_ct_nothing_is_compared() -> None:
    values = values_of(Situation(job()))
    assert (values["prior"], values["prior_hours"], values["grown"]) == ("", 0.0, False)
    assert set(values["change_ml"].values()) == {0.0}


@pytest.mark.parametrize(
    ("header", "at"),
    [
        ({"StudyDate": "20260102", "StudyTime": "101112.5"}, datetime(2026, 1, 2, 10, 11, 12)),
        ({"AcquisitionDate": "20260103", "StudyDate": "20260102"}, datetime(2026, 1, 3)),
        ({"AcquisitionDate": "", "SeriesDate": "20260104", "SeriesTime": "0930"}, datetime(2026, 1, 4, 9, 30)),
        ({"StudyDate": "yesterday"}, None),
        ({}, None),
    ],
)
def test_the_time_of_a_scan_is_that_of_its_acquisition_series_or_study(
    header: dict[str, str], at: datetime | None
) -> None:
    assert scanned_at(header) == at


def test_the_last_ct_of_the_same_patient_is_the_prior_one_however_late_it_came(
    site: Site, hook: Hook, tmp_path: Path
) -> None:
    rule = {"name": "tell", "when": "true", "actions": [{"to": "hook"}]}
    settings = site.with_rules({"hook": {"kind": "webhook", "url": hook.url}}, [rule])
    patient, other = str(generate_uid())[-20:], str(generate_uid())[-20:]

    def head(day: str, hour: str, who: str) -> list[bytes]:
        times = {"AcquisitionDate": day, "AcquisitionTime": hour}
        return head_series(str(generate_uid()), StudyDate=day, StudyTime=hour, PatientID=who, **times)

    with post_at(settings, tmp_path) as post:
        sent = [
            ("20260102", "080000", patient),
            ("20260104", "080000", patient),
            ("20260105", "080000", other),
            ("20260105", "200000", patient),
            ("20260101", "080000", patient),
            ("20260106", "080000", ""),
            ("20260107", "080000", ""),
        ]
        for day, hour, who in sent:
            post.answer(*head(day, hour, who))
            post.send_all("hook")
        told = [json.loads(one.body) for one in hook.came]
        assert [(one["prior"], one["prior_hours"]) for one in told] == [
            ("", 0.0),
            ("present", 48.0),
            ("", 0.0),
            ("present", 36.0),
            ("", 0.0),
            ("", 0.0),  # without a Patient ID nobody knows whose they are
            ("", 0.0),
        ]
