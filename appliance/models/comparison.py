# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Where a shadow version disagrees with the version that answered, over the studies that both have read.

It does not say which of the two is right: neither is the truth. Lesions of one type are paired by size, the largest
with the largest, because the ledger keeps what they are and not where.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np

from appliance.ledger.shadows import Pair
from appliance.reading.contract import TYPES
from appliance.results.wording import millilitres

SAME_PROBABILITY = 0.0005
SAME_ML = 0.05
"""Below these differences two readings agree: no more digits are shown, and one network run twice differs by about
1e-7, because its threads sum in another order each time."""


@dataclass(frozen=True)
class _Compared:
    """One study: what was answered, what the shadow says, and how far apart they are."""

    pair: Pair
    disagree: bool
    apart: float
    """Difference of the probabilities."""
    volumes_ml: tuple[float, float]
    """All blood: answered, shadow."""
    lesions: tuple[tuple[str, float | None, float | None], ...]
    """Type, mL as answered, mL as the shadow says; None where there is none."""

    @property
    def rank(self) -> tuple[bool, float, float]:
        """The order by how much there is to look at: a different answer, then lesions and volumes, then the score."""
        unpaired = sum(None in lesion[1:] for lesion in self.lesions)
        volume = abs(self.volumes_ml[0] - self.volumes_ml[1])
        return (
            self.disagree,
            unpaired + (volume if volume > SAME_ML else 0.0),
            self.apart if self.apart > SAME_PROBABILITY else 0.0,
        )


def comparison(pairs: Iterable[Pair], examples: int) -> dict[str, Any]:
    """Return the disagreement as plain values, with the `examples` studies that disagree most."""
    pairs = list(pairs)
    compared = [_compare(pair) for pair in pairs if not pair.shadow.unread]
    calls = Counter((bool(one.pair.job.answer["present"]), bool(one.pair.shadow.answer["present"])) for one in compared)
    lesions: dict[str, dict[str, Any]] = {}
    for kind in TYPES:
        found = [lesion for one in compared for lesion in one.lesions if lesion[0] == kind.value]
        both = [(answered, shadow) for _, answered, shadow in found if answered is not None and shadow is not None]
        lesions[kind.value] = {
            "both": len(both),
            "answered_only": sum(shadow is None for _, _, shadow in found),
            "shadow_only": sum(answered is None for _, answered, _ in found),
            "volume_apart_ml": _spread([abs(answered - shadow) for answered, shadow in both]),
        }
    worth = sorted((one for one in compared if any(one.rank)), key=lambda one: one.rank, reverse=True)
    return {
        "studies": len(compared),
        "answered_by": dict(Counter(str(one.pair.job.answer["model"]["version"]) for one in compared)),
        "both_present": calls[True, True],
        "both_absent": calls[False, False],
        "answered_present_only": calls[True, False],
        "shadow_present_only": calls[False, True],
        "probability_apart": _spread([one.apart for one in compared]),
        "lesions": lesions,
        "total_volume_apart_ml": _spread([abs(one.volumes_ml[0] - one.volumes_ml[1]) for one in compared]),
        "unread": dict(Counter(pair.shadow.unread for pair in pairs if pair.shadow.unread)),
        "examples": [_example(one) for one in worth[:examples]],
    }


def _compare(pair: Pair) -> _Compared:
    answered, shadow = pair.job.answer, pair.shadow.answer
    lesions = []
    for kind in TYPES:
        sizes = (_sizes(answered, kind.value), _sizes(shadow, kind.value))
        lesions += [(kind.value, one, other) for one, other in zip_longest(*sizes)]
    return _Compared(
        pair,
        bool(answered["present"]) != bool(shadow["present"]),
        abs(answered["probability"] - shadow["probability"]),
        (_total(answered), _total(shadow)),
        tuple(lesions),
    )


def _sizes(answer: Mapping[str, Any], kind: str) -> list[float]:
    """Return the volumes of an answer's lesions of a type, mL, the largest first."""
    return sorted((lesion["volume_ml"] for lesion in answer["lesions"] if lesion["type"] == kind), reverse=True)


def _total(answer: Mapping[str, Any]) -> float:
    return float(sum(lesion["volume_ml"] for lesion in answer["lesions"]))


def _spread(values: list[float]) -> dict[str, float] | None:
    """Return median, 95th percentile and largest of some values, None of none."""
    if not values:
        return None
    median, high, most = np.percentile(np.asarray(values, float), [50, 95, 100])
    return {"p50": round(float(median), 4), "p95": round(float(high), 4), "max": round(float(most), 4)}


def _example(one: _Compared) -> dict[str, Any]:
    def side(answer: Mapping[str, Any]) -> dict[str, Any]:
        lesions = [{"type": lesion["type"], "volume_ml": lesion["volume_ml"]} for lesion in answer["lesions"]]
        return {"present": answer["present"], "probability": answer["probability"], "lesions": lesions}

    return {
        "study_uid": one.pair.job.study_uid,
        "job": one.pair.job.id,
        "answered": side(one.pair.job.answer),
        "shadow": side(one.pair.shadow.answer),
    }


def comparison_rows(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the disagreement as the rows of a table."""
    by = ", ".join(f"version {version} ({count})" for version, count in document["answered_by"].items())
    rows = [
        ("studies that both read", f"{document['studies']}, answered by {by}" if by else "0"),
        ("both: hemorrhage / none", f"{document['both_present']} / {document['both_absent']}"),
        ("hemorrhage in the answer alone", str(document["answered_present_only"])),
        ("hemorrhage in the shadow alone", str(document["shadow_present_only"])),
        ("probabilities apart", _words(document["probability_apart"])),
        ("all blood apart, mL", _words(document["total_volume_apart_ml"])),
    ]
    for kind in TYPES:
        of = document["lesions"][kind.value]
        counts = f"both {of['both']}, answer alone {of['answered_only']}, shadow alone {of['shadow_only']}"
        apart = f"; apart, mL: {_words(of['volume_apart_ml'])}" if of["volume_apart_ml"] else ""
        rows.append((f"lesions, {kind.display}", counts + apart))
    rows += [(f"not read by the shadow: {why}", str(count)) for why, count in document["unread"].items()]
    return rows


def _words(spread: Mapping[str, float] | None) -> str:
    return "–" if spread is None else f"median {spread['p50']:g}, p95 {spread['p95']:g}, most {spread['max']:g}"


def answer_words(answer: Mapping[str, Any]) -> str:
    """Return in a few words what an answer says of blood."""
    what = "hemorrhage" if answer["present"] else "none found"
    lesions = ", ".join(f"{lesion['type']} {millilitres(lesion['volume_ml'])}" for lesion in answer["lesions"])
    return f"{what} {answer['probability']:.3f}{f' ({lesions})' if lesions else ''}"


def example_words(example: Mapping[str, Any]) -> str:
    """Return in a line what was answered about a study, and what the shadow says."""
    return f"answered: {answer_words(example['answered'])}; shadow: {answer_words(example['shadow'])}"
