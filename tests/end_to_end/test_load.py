# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Several senders at once: the load benchmark's round, at its smallest size, on a running appliance."""

from __future__ import annotations

from pathlib import Path

from benchmarks.load import Watch, figures_of, run_round
from tests.end_to_end.patient import Patient
from tests.end_to_end.running import PATIENCE_S, Running


def test_studies_of_senders_that_send_at_once_are_all_answered_at_the_first_try(
    running: Running, bleeding: Patient, healthy: Patient, tmp_path: Path
) -> None:
    studies = [patient.study(tmp_path / str(number)) for number, patient in enumerate((bleeding, healthy, bleeding))]
    watch = Watch(running.local.service.url)
    try:
        row = figures_of([run_round(running.settings, studies, watch, PATIENCE_S)])
    finally:
        watch.close()
    assert row["failures"] == []
    assert (row["answered"], row["tries_most"]) == (3, 1)
    assert row["peak_queue"] >= 1
    assert row["turnaround_s"]["min"] >= running.settings.intake.quiet_s
