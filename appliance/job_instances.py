# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Which of a study's instances a job answers."""

from __future__ import annotations

from collections.abc import Collection

from appliance.imaging.instances import Instance
from appliance.imaging.stacks import stacks
from appliance.intake.snapshot import Snapshot
from appliance.ledger.records import Job


def instances_to_answer(job: Job, snapshot: Snapshot) -> tuple[Instance, ...]:
    """Return the instances that a job answers: all but the stacks that other jobs of the study answer."""
    return without_stacks(snapshot.instances, job.left_out)


def without_stacks(instances: tuple[Instance, ...], slice_set_hashes: Collection[str]) -> tuple[Instance, ...]:
    """Return the instances that belong to none of these stacks."""
    if not slice_set_hashes:
        return instances
    left_out = {
        instance.ref
        for stack in stacks(instances)
        if stack.slice_set_hash in slice_set_hashes
        for instance in (*stack.instances, *stack.repeats)
    }
    return tuple(instance for instance in instances if instance.ref not in left_out)


def series_to_read(job: Job, snapshot: Snapshot) -> str:
    """Return the series that a job is expected to read; empty when that is not known."""
    if job.requested:
        return next((str(instance.header.SeriesInstanceUID) for instance in snapshot.instances), "")
    chosen = (stack for stack in stacks(snapshot.instances) if stack.slice_set_hash == job.chosen_set)
    return next((stack.series_uid for stack in chosen), "")
