# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The files of tests that take 15 seconds or more, longest first.

The processes of `make test` take whole files, in this order and then as they are collected. A long file that came late
would run alone, with every other process idle. `--durations=80` says how long tests take.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
LONGEST_FIRST: Final = (
    "tests/appliance/test_chaos.py",
    "tests/simulator/test_audit.py",
    "tests/install/test_short_form.py",
    "tests/hospital_day/test_hospital_day.py",
    "tests/end_to_end/test_models.py",
    "tests/appliance/test_service.py",
    "tests/deploy/test_supervised.py",
    "tests/appliance/intake/test_intake.py",
    "tests/appliance/prior/test_retrieve.py",
    "tests/simulator/test_cohort.py",
    "tests/end_to_end/test_refusals.py",
    "tests/simulator/test_face.py",
    "tests/appliance/delivery/test_dispatch.py",
    "tests/appliance/drift/test_watch.py",
    "tests/deploy/containers/test_hung_triton.py",
    "tests/deploy/test_unprivileged.py",
    "tests/end_to_end/test_analyze.py",
    "tests/benchmarks/accuracy/test_commands.py",
    "tests/chaos/test_chaos.py",
    "tests/deploy/test_monitored.py",
    "tests/end_to_end/test_parts.py",
    "tests/end_to_end/test_prior.py",
    "tests/simulator/test_scan.py",
    "tests/end_to_end/test_delivery.py",
    "tests/simulator/test_gallery.py",
    "tests/end_to_end/test_answer.py",
    "tests/appliance/delivery/test_deliver.py",
    "tests/conversion/test_repository.py",
    "tests/deploy/test_supervisor.py",
    "tests/deploy/test_prometheus.py",
    "tests/simulator/test_bleeding.py",
    "tests/environments/test_sbom.py",
    "tests/appliance/coverage/test_coverage.py",
    "tests/appliance/inference/test_detector.py",
    "tests/deploy/test_up_and_down.py",
    "tests/training/test_ceiling.py",
    "tests/end_to_end/test_one_answer.py",
    "tests/simulator/test_cli.py",
    "tests/simulator/test_audit_reader.py",
    "tests/appliance/models/test_life.py",
    "tests/deploy/test_private.py",
    "tests/simulator/test_contrast.py",
    "tests/benchmarks/accuracy/test_causes.py",
    "tests/conversion/test_triton_model.py",
    "tests/appliance/test_settings_rules.py",
    "tests/end_to_end/test_commands.py",
    "tests/end_to_end/test_board.py",
    "tests/end_to_end/test_viewer.py",
    "tests/end_to_end/test_routing.py",
    "tests/end_to_end/test_load.py",
)

_PLACES: Final = {ROOT / name: number for number, name in enumerate(LONGEST_FIRST)}


def place_of(path: Path) -> int:
    """Return the place of a file of tests in the order; all that are not long share the last one."""
    return _PLACES.get(path, len(_PLACES))
