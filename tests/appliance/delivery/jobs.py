# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Jobs as they ended, for the tests of rules."""

from __future__ import annotations

from typing import Any

from appliance.ledger.records import URGENT, Job
from appliance.ledger.states import JobState

LESIONS = [{"type": "iph", "volume_ml": 30.0}, {"type": "sah", "volume_ml": 1.5}, {"type": "iph", "volume_ml": 2.0}]


def job(**changes: Any) -> Job:
    answer = {"present": True, "probability": 0.93, "lesions": LESIONS, "coverage": {"partial": False}, "model": {}}
    values: dict[str, Any] = {
        "id": 7,
        "orthanc_study": "s",
        "study_uid": "1.2",
        "orthanc_series": "",
        "state": JobState.DONE,
        "since": 1.0,
        "created": 1_800_000_000.0,
        "last_instance_at": 1.0,
        "live": True,
        "instance_set": "",
        "chosen_set": "",
        "answer": answer,
        "priority": URGENT,
    }
    return Job(**values | changes)
