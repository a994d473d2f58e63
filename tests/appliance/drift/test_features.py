# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json

from pydicom.uid import generate_uid

from appliance.delivery.summary import summary
from appliance.drift.features import ABSENT, FEATURES, PRESENT, Side, row_of
from appliance.imaging.instances import parse_instance
from appliance.pipeline import Pipeline, ReadAnswer, Study
from appliance.settings import Settings
from tests.appliance.drift.months import answer_of, month
from tests.appliance.stand_in import StandInDetector, head_series


def test_the_row_of_a_study_comes_from_its_answer_as_the_ledger_keeps_it() -> None:
    uid = str(generate_uid())
    files = {str(number): data for number, data in enumerate(head_series(uid))}
    study = Study(uid, tuple(parse_instance(ref, data) for ref, data in files.items()), files.__getitem__)
    answer = Pipeline(Settings(), StandInDetector()).answer(study)  # type: ignore[arg-type]
    assert isinstance(answer, ReadAnswer)
    kept = json.loads(json.dumps(summary(answer)))
    row = row_of(kept)
    inputs = {feature.name for feature in FEATURES if feature.side is Side.INPUT}
    assert inputs - {"noise_hu"} <= set(row)
    assert row["present"] == PRESENT
    assert row["score"] == answer.finding.probability
    assert row["volume_ml"] == sum(lesion.volume_ml for lesion in answer.finding.lesions)
    header = answer.stack.instances[0].header
    assert str(header.PatientID) not in json.dumps(row)


def test_the_volumes_of_a_type_are_added_up_and_a_study_without_blood_has_none() -> None:
    with_blood = answer_of(next(row for row in month(1, 50) if row["present"] == PRESENT))
    with_blood["lesions"] = [
        {"type": "iph", "volume_ml": 2.0},
        {"type": "sah", "volume_ml": 1.0},
        {"type": "iph", "volume_ml": 3.0},
    ]
    row = row_of(with_blood)
    assert (row["volume_ml"], row["iph_ml"], row["sah_ml"]) == (6.0, 5.0, 1.0)
    assert "edh_sdh_ml" not in row
    without = row_of(answer_of(next(row for row in month(1, 50) if row["present"] == ABSENT)))
    assert not any(name.endswith("_ml") for name in without)


def test_an_answer_from_before_studies_were_measured_has_no_row_and_what_is_not_known_is_left_out() -> None:
    answer = answer_of(month(1, 1)[0])
    assert row_of({name: value for name, value in answer.items() if name != "measured"}) == {}
    assert row_of({**answer, "measured": {}}) == {}
    answer["measured"] |= {"of a later version": 1.0, "kvp": 120}
    row = row_of(answer)
    assert "of a later version" not in row
    assert "kvp" not in row
