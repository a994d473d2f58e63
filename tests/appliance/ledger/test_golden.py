# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from appliance.ledger.ledger import Ledger
from appliance.ledger.records import GoldenStudy

GOLDEN = GoldenStudy("1.2.3", "study", "1.2.4", "a" * 64, 5.0, "Dr. A", "seen twice", {"present": True, "lesions": []})


def test_a_golden_study_is_kept_once_until_it_is_removed_and_the_trail_says_who_did_which(ledger: Ledger) -> None:
    assert ledger.golden.add(GOLDEN)
    assert not ledger.golden.add(GOLDEN)
    assert ledger.golden.studies() == [GOLDEN]
    assert ledger.golden.remove("1.2.3", "Dr. B")
    assert not ledger.golden.remove("1.2.3", "Dr. B")
    assert ledger.golden.studies() == []
    told = [(one.event.value, one.who, one.study_uid, one.details["change"]) for one in ledger.audit.entries()]
    assert told == [("golden", "Dr. A", "1.2.3", "added"), ("golden", "Dr. B", "1.2.3", "removed")]
