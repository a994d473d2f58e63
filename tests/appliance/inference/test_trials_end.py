# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whoever waits for a model to load waits longer than its process tries engines."""

from __future__ import annotations

import inspect

from appliance.inference.choice import LOAD_TIMEOUT_S
from appliance.inference.server import TritonServer
from appliance.sections.supervisor import SupervisorSettings
from conversion.triton_model import TRIALS_S


def test_a_load_and_a_start_leave_the_reference_as_much_time_as_the_trials_take() -> None:
    assert 2 * TRIALS_S <= LOAD_TIMEOUT_S <= SupervisorSettings().starting_s / 2
    assert inspect.signature(TritonServer.start).parameters["timeout_s"].default >= LOAD_TIMEOUT_S
