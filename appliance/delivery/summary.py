# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What the ledger and the status keep of an answer: a few facts as plain JSON, no header of a patient."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from appliance.pipeline import Answer


def summary(answer: Answer) -> dict[str, Any]:
    """Return the facts of an answer; of one that read nothing, only the model."""
    facts: dict[str, Any] = {"model": asdict(answer.model)}
    if answer.finding is None or answer.stack is None:
        return facts
    return facts | {
        "present": answer.finding.present,
        "probability": answer.finding.probability,
        "threshold": answer.finding.criteria.threshold,
        "extend_score": answer.finding.criteria.extend_score,
        "lesions": [
            {
                "type": lesion.type.value,
                "volume_ml": lesion.volume_ml,
                "abc2_ml": lesion.abc2_ml,
                "size_class": lesion.size_class.value,
                "confidence": lesion.confidence,
                "slices": len(lesion.slices),
            }
            for lesion in answer.finding.lesions
        ],
        "series": {
            "uid": answer.stack.series_uid,
            "description": answer.stack.description,
            "slices": len(answer.stack.instances),
            "reasons": list(answer.selection_reasons),
        },
    }
