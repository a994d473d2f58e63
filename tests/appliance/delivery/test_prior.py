# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The head CT before this one, as rules see it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import generate_uid

from appliance.delivery.variables import Situation, values_of
from appliance.findings.change import Comparison, Doubt, HeadScan, PriorScan, Withheld, compare
from tests.appliance.delivery.jobs import job
from tests.appliance.delivery.receivers import Hook
from tests.appliance.delivery.site import Site, post_at
from tests.appliance.stand_in import head_series


def scan(**volumes: float) -> HeadScan:
    """Return a whole head with these volumes, mL."""
    lesions = [{"type": kind, "volume_ml": ml} for kind, ml in volumes.items()]
    return HeadScan.of_answer({"present": bool(volumes), "lesions": lesions})


def test_rules_see_what_the_ledger_keeps_of_the_comparison() -> None:
    prior = PriorScan("1.2", "1.3", "1.4", 3, "present", "2026-01-02T08:00:00")
    compared = Comparison(prior, 6.5, False, compare(scan(iph=30.0), scan(iph=36.5, sah=1.0)))
    values = values_of(Situation(job(change=compared.facts)))
    assert (values["prior"], values["prior_hours"], values["grown"]) == ("present", 6.5, True)
    assert values["change_ml"] == {"iph": 6.5, "edh_sdh": 0.0, "sah": 1.0}
    assert values["change_percent"] == {"iph": pytest.approx(100 * 6.5 / 30), "edh_sdh": 0.0, "sah": 0.0}
    assert values["total_change_ml"] == 7.5


@pytest.mark.parametrize("change", [{}, Withheld(Doubt.OTHER_NAME).facts])
def test_without_a_comparison_rules_see_no_prior(change: dict[str, Any]) -> None:
    values = values_of(Situation(job(change=change)))
    assert (values["prior"], values["prior_hours"], values["grown"], values["total_change_ml"]) == ("", 0.0, False, 0.0)
    assert set(values["change_ml"].values()) == set(values["change_percent"].values()) == {0.0}


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
