# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The facts of an answer as plain JSON, without a patient's header: for the ledger, `/status` and `result.json`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from appliance.pipeline import ReadAnswer
from appliance.prior.header import texts_of
from appliance.prior.scan_time import scan_time
from appliance.results.facts import lesion_facts


def summary(answer: ReadAnswer) -> dict[str, Any]:
    """Return the facts of an answer."""
    finding, stack = answer.finding, answer.stack
    return {
        "model": asdict(answer.model),
        "present": finding.present,
        "probability": finding.probability,
        "threshold": finding.criteria.threshold,
        "extend_score": finding.criteria.extend_score,
        "lesions": [lesion_facts(lesion) for lesion in finding.lesions],
        "coverage": answer.covered.facts,
        "flaws": [{"code": flaw.code.value, "reason": flaw.reason} for flaw in answer.flaws],
        "measured": answer.measured,
        "series": {
            "uid": stack.series_uid,
            "description": stack.description,
            "slices": len(stack.instances),
            "scanned": str(scan_time(texts_of(stack.instances[0].header)) or ""),
            "reasons": list(answer.selection_reasons),
        },
    }
