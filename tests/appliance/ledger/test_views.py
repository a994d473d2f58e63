# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from appliance.ledger.ledger import Ledger
from appliance.ledger.states import JobState
from tests.appliance.ledger.course import claim, queue


class TestViews:
    def test_jobs_are_counted_in_every_state(self, ledger: Ledger) -> None:
        queue(ledger, "s1")
        queue(ledger, "s2")
        claim(ledger)
        counts = ledger.views.job_counts()
        assert set(counts) == set(JobState)
        assert (counts[JobState.QUEUED], counts[JobState.RUNNING], counts[JobState.DONE]) == (1, 1, 0)

    def test_the_newest_studies_come_first_with_all_their_jobs(self, ledger: Ledger) -> None:
        queue(ledger, "old", at=10)
        queue(ledger, "new", at=20)
        queue(ledger, "new", at=30, chosen="d")
        newest = ledger.views.newest_studies(1)
        assert [one.study.id for one in newest] == ["new"]
        assert [job.state for job in newest[0].jobs] == [JobState.WITHDRAWN, JobState.QUEUED]
