# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The head CT before this one, as rules see it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import generate_uid

from appliance.delivery.destinations.hl7 import oru
from appliance.delivery.message import facts, headline, sentences
from appliance.delivery.variables import Situation, values_of
from appliance.findings.change import Doubt, Withheld
from appliance.sections.delivery import Hl7Settings
from tests.appliance.delivery.jobs import job
from tests.appliance.delivery.parcels import parcel
from tests.appliance.delivery.receivers import Hook
from tests.appliance.delivery.site import Site, post_at
from tests.appliance.results.compared import compared, scan
from tests.appliance.stand_in import head_series

GROWN = compared(scan(iph=30.0), scan(iph=36.5, sah=1.0))


def test_rules_see_what_the_ledger_keeps_of_the_comparison() -> None:
    values = values_of(Situation(job(change=GROWN.facts)))
    assert (values["prior"], values["prior_hours"], values["grown"]) == ("present", 6.5, True)
    assert values["change_ml"] == {"iph": 6.5, "edh_sdh": 0.0, "sah": 1.0}
    assert values["change_percent"] == {"iph": pytest.approx(100 * 6.5 / 30), "edh_sdh": 0.0, "sah": 0.0}
    assert values["total_change_ml"] == 7.5


@pytest.mark.parametrize("change", [{}, Withheld(Doubt.OTHER_NAME).facts])
def test_without_a_comparison_rules_see_no_prior(change: dict[str, Any]) -> None:
    values = values_of(Situation(job(change=change)))
    assert (values["prior"], values["prior_hours"], values["grown"], values["total_change_ml"]) == ("", 0.0, False, 0.0)
    assert set(values["change_ml"].values()) == set(values["change_percent"].values()) == {0.0}


def test_messages_tell_the_change_to_people_and_to_programs() -> None:
    one = parcel(change=GROWN.facts)
    assert headline(one.situation.job).endswith(", grown: IPH +6.5 mL, new SAH in 6.5 h")
    said = "\n".join(sentences(one))
    assert "The hemorrhage has GROWN: IPH by more than 6 mL, total by more than 6 mL." in said
    assert "New, not there before: SAH." in said
    assert "2026-02-28" not in said  # by mail, hours are enough
    assert facts(one)["change"]["grown_by"][0] == {"what": "iph", "criterion": "more_than_6_ml"}
    assert facts(parcel())["change"] is None


def test_an_hl7_message_has_the_difference_and_whether_blood_has_grown() -> None:
    settings = Hl7Settings(kind="hl7", host="127.0.0.1", port=2575)

    def observed(change: dict[str, Any]) -> dict[str, list[str]]:
        lines = oru(parcel(change=change), settings).split("\r")
        fields = [line.split("|") for line in lines if line.startswith("OBX")]
        return {f"{one[3].split('^')[0]} {(one[3].split('^') + [''] * 4)[3]}".strip(): one for one in fields}

    grown = observed(GROWN.facts)
    assert grown["442714003 iph"][5:9] == ["6.5", "mL^milliliter^UCUM", "", "A"]
    assert grown["442714003 sah"][5] == "1.0"
    assert "A" not in grown["442714003 sah"][6:]
    assert grown["442714003 total"][5] == "7.5"
    assert (grown["15454001"][2], grown["15454001"][5]) == ("CE", "52101004^Present^SCT")
    mixed = observed(compared(scan(iph=30.0, sah=5.0), scan(iph=20.0, sah=8.0)).facts)
    assert mixed["442714003 sah"][5:9] == ["3.0", "mL^milliliter^UCUM", "", "A"]
    assert mixed["442714003 iph"][5] == "-10.0"
    assert "A" not in mixed["442714003 iph"][6:] + mixed["442714003 total"][6:]
    smaller = observed(compared(scan(iph=30.0), scan(iph=20.0)).facts)
    assert smaller["442714003 total"][5] == "-10.0"
    assert smaller["15454001"][5] == "272519000^Absent^SCT"
    for change in ({}, Withheld(Doubt.OTHER_SEX).facts, compared(scan(True, iph=3.0), scan(iph=3.0)).facts):
        assert not [name for name in observed(change) if name.startswith(("442714003", "15454001"))]


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
