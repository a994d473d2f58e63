# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whether the model that answers has a reference, without which no change of studies or answers would be noticed."""

from __future__ import annotations

from appliance.doctor.check import Check
from appliance.drift.reference import NoReferenceError, reference_of
from appliance.settings import Settings


def check_drift_reference(settings: Settings, sha256: str) -> Check:
    """Check the reference of the model with this sha256, as the service looks for it."""
    try:
        reference = reference_of(settings, sha256)
    except NoReferenceError as error:
        what, _, remedy = str(error).partition("; ")
        return Check("drift reference", "warn", f"{what}: drift is not watched", remedy)
    made = reference.provenance
    return Check("drift reference", "ok", f"{len(reference.rows)} studies: {made.population} ({made.made[:10]})")
