# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The comparison with the prior for an answer that is about to be reported: in time, or none.

A reader waits for the answer, so the search for the prior has two seconds. Whatever goes wrong with it, the answer is
given nevertheless and says that no prior was looked for; `follow_up` looks again afterwards. If it is the same answer
given again, it keeps the comparison that it had: what has been told is not taken away by a moment's trouble.
"""

from __future__ import annotations

import threading
from typing import Final

import structlog
from pydicom import Dataset

from appliance.findings.change import Compared, Comparison, Doubt, HeadScan, Withheld
from appliance.imaging.header import text
from appliance.ledger.ledger import Ledger
from appliance.ledger.records import Job
from appliance.ledger.states import JobState
from appliance.log import describe
from appliance.prior.header import texts_of
from appliance.prior.search import PriorSearch

PATIENCE_S: Final = 2.0


class PriorLookup:
    """Compares answers with their priors; may be used from several threads at once."""

    def __init__(self, search: PriorSearch, ledger: Ledger, patience_s: float = PATIENCE_S) -> None:
        self._search = search
        self._ledger = ledger
        self._patience_s = patience_s
        self._log = structlog.get_logger("worker")

    def compare(self, job: Job, header: Dataset, scan: HeadScan) -> Compared:
        """Return the comparison of what a job found with the prior of its study; None where there is none.

        `header` is that of an image that was read. Raises nothing.
        """
        found: list[Compared] = []
        faults: list[str] = []

        def look() -> None:
            try:
                found.append(self._search.compared(job.orthanc_study, texts_of(header), scan))
            except Exception as error:  # whatever it is: the answer is given without it
                faults.append(describe(error))

        # A thread of its own, since a request to Orthanc may take as long as orthanc.timeout_s.
        try:
            thread = threading.Thread(target=look, name="prior", daemon=True)
            thread.start()
            thread.join(self._patience_s)
        except RuntimeError as error:  # the machine has no thread left
            faults.append(describe(error))
        if found:
            return found[0]
        why = faults[0] if faults else f"it was not found within {self._patience_s:g} s"
        self._log.warning("answered without a look at the prior CT", error=why)
        return self._known(job, header, scan) or Withheld(Doubt.NOT_IN_TIME)

    def _known(self, job: Job, header: Dataset, scan: HeadScan) -> Comparison | None:
        """Return the comparison that the answer has which this one repeats; None without one, or without a ledger."""
        try:
            series = text(header, "SeriesInstanceUID")
            for one in reversed(self._ledger.jobs.of_study(job.orthanc_study)):
                same = one.instance_set == job.instance_set and one.answered_series == series
                if one.id != job.id and one.state is JobState.DONE and same and "prior" in one.change:
                    return Comparison.of_facts(one.change, scan)
        except Exception as error:  # an answer that says less is better than none
            self._log.warning("an earlier comparison cannot be read", error=describe(error))
        return None
