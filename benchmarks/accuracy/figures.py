# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Every figure of the report, from records alone: the paper's Tables 1 and 2, and what a reader asks beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from appliance.reading.contract import TYPES, SizeClass
from benchmarks.accuracy import causes
from benchmarks.accuracy.intervals import (
    NOTHING,
    Estimate,
    area,
    correlation,
    dice,
    mean,
    mean_of_two,
    predictive_value,
    share,
)
from benchmarks.accuracy.paper import TABLE_2, Stratum
from benchmarks.accuracy.record import Record
from simulator.recipes import HELD_OUT

PREVALENCES: Final = (0.03, 0.08, 0.12)
"""At which predictive values are told; the paper's test cohort has 0.12."""
BINS: Final = 8
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Call:
    """A record with the threshold that its study was called at."""

    record: Record
    threshold: float

    @property
    def is_positive(self) -> bool:
        """Whether the study is called positive."""
        return self.record.score >= self.threshold

    @property
    def wrong(self) -> bool:
        """Whether it is called what it is not."""
        return self.is_positive != self.record.bleeds


@dataclass(frozen=True)
class Measures:
    """The paper's six measures of a set, with how many studies with and without blood they are of."""

    positives: int
    negatives: int
    accuracy: Estimate
    auc: Estimate
    sensitivity: Estimate
    specificity: Estimate
    ppv: Estimate
    npv: Estimate

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {name: value.as_json() if isinstance(value, Estimate) else value for name, value in vars(self).items()}


def with_blood(calls: Iterable[Call]) -> list[Call]:
    """Return the calls of studies with blood."""
    return [one for one in calls if one.record.bleeds]


def without_blood(calls: Iterable[Call]) -> list[Call]:
    """Return the calls of studies without blood."""
    return [one for one in calls if not one.record.bleeds]


def full_set(calls: Sequence[Call]) -> Measures:
    """Return the measures of a set as it is composed."""
    positives, negatives = with_blood(calls), without_blood(calls)
    hits, alarms = (sum(one.is_positive for one in group) for group in (positives, negatives))
    return Measures(
        len(positives),
        len(negatives),
        share(sum(not one.wrong for one in calls), len(calls)),
        area(scores(positives), scores(negatives)),
        share(hits, len(positives)),
        share(len(negatives) - alarms, len(negatives)),
        share(hits, hits + alarms),
        share(len(negatives) - alarms, len(calls) - hits - alarms),
    )


def balanced_set(positives: Sequence[Call], negatives: Sequence[Call]) -> Measures:
    """Return the measures of a set in which half of the studies bleed: those of one stratum against every negative."""
    hits, alarms = (sum(one.is_positive for one in group) for group in (positives, negatives))
    sensitivity, specificity = share(hits, len(positives)), share(len(negatives) - alarms, len(negatives))
    both = positives and negatives
    return Measures(
        len(positives),
        len(negatives),
        mean_of_two(sensitivity, specificity) if both else NOTHING,
        area(scores(positives), scores(negatives)),
        sensitivity,
        specificity,
        predictive_value(sensitivity, share(alarms, len(negatives)), 0.5),
        predictive_value(specificity, share(len(positives) - hits, len(positives)), 0.5),
    )


def scores(calls: Sequence[Call]) -> Values:
    """Return the study scores [N]."""
    return np.array([one.record.score for one in calls], float)


def of_stratum(calls: Iterable[Call], stratum: Stratum) -> list[Call]:
    """Return the calls of studies with blood of a type and size; None is any."""
    kind, size = stratum
    return [
        one for one in with_blood(calls) if kind in (None, one.record.diagnosis) and size in (None, one.record.size)
    ]


def table_1(calls: Sequence[Call]) -> dict[str, dict[str, int]]:
    """Return how many studies with blood there are, by type and size."""
    count = Counter((one.record.diagnosis, one.record.size) for one in with_blood(calls))
    return {str(kind): {str(size): count[str(kind), size] for size in SizeClass} for kind in TYPES}


def table_2(calls: Sequence[Call]) -> dict[Stratum, Measures]:
    """Return the balanced sets, in the paper's order."""
    negatives = without_blood(calls)
    return {stratum: balanced_set(of_stratum(calls, stratum), negatives) for stratum in TABLE_2}


def by_population(calls: Sequence[Call]) -> dict[str, Measures]:
    """Return each population's measures, familiar ones first, and those of every held-back mechanism together."""
    names = list(dict.fromkeys(one.record.population for one in calls))
    names.sort(key=lambda name: HELD_OUT.index(name) if name in HELD_OUT else -1)
    groups = {name: [one for one in calls if one.record.population == name] for name in names}
    held_out = [one for one in calls if one.record.population in HELD_OUT]
    if held_out:
        groups["all held back"] = held_out
    return {name: full_set(group) for name, group in groups.items()}


def in_use(calls: Sequence[Call]) -> dict[str, Any]:
    """Return what a site would notice: false alarms per 100 studies without blood, and predictive values."""
    whole = full_set(calls)
    negatives = without_blood(calls)
    alarms, missed = sum(one.is_positive for one in negatives), sum(one.wrong for one in with_blood(calls))
    rate = share(alarms, len(negatives))
    over = [one for one in with_blood(calls) if one.record.blood[one.record.diagnosis].true_ml >= 5.0]
    return {
        "false_alarms_per_100": Estimate(100 * rate.value, 100 * rate.low, 100 * rate.high),
        "ppv": {p: predictive_value(whole.sensitivity, rate, p) for p in PREVALENCES},
        "npv": {
            p: predictive_value(whole.specificity, share(missed, len(with_blood(calls))), 1 - p) for p in PREVALENCES
        },
        "missed_over_5_ml": share(sum(one.wrong for one in over), len(over)),
    }


def overlap(calls: Sequence[Call]) -> dict[str, dict[str, Estimate]]:
    """Return Dice by type and of all blood, over all voxels together and as a mean over studies that hold the type.

    Missed and false blood count in both: a study whose blood is not found has a Dice of 0.
    """

    def both(rows: list[tuple[float, float, float]]) -> dict[str, Estimate]:
        shared, found, true = np.array(rows, float).reshape(-1, 3).T
        held = true > 0
        return {
            "pooled": dice(shared, found, true) if held.any() else NOTHING,
            "mean": mean(2 * shared[held] / (found[held] + true[held])),
        }

    out = {}
    for kind in TYPES:
        blood = [one.record.blood[kind] for one in calls]
        out[str(kind)] = both([(b.shared_ml, b.found_ml, b.true_ml) for b in blood])
    out["all"] = both([(r.shared_ml, r.found_ml, r.true_ml) for r in (one.record for one in calls)])
    return out


def volumes(calls: Sequence[Call], kind: str) -> tuple[Values, Values]:
    """Return true and found mL [N] of a type, of every study that holds blood of it; missed blood is 0 mL."""
    blood = [one.record.blood[kind] for one in calls]
    return (
        np.array([b.true_ml for b in blood if b.true_ml > 0], float),
        np.array([b.found_ml for b in blood if b.true_ml > 0], float),
    )


def quantification(calls: Sequence[Call]) -> dict[str, Any]:
    """Return Pearson's r of volumes by type, by how much IPH is over- or underestimated, and the same of ABC/2.

    ABC/2 is measured twice: on the true outline, as a careful hand would, and on the network's, as the report says it.
    By how much is the mean over studies whose IPH was found.
    """
    out: dict[str, Any] = {"r": {str(kind): correlation(*volumes(calls, kind)) for kind in TYPES}}
    true, found, by_hand, by_network = [], [], [], []
    for record in (one.record for one in calls):
        if record.blood["iph"].true_ml <= 0:
            continue
        true.append(record.blood["iph"].true_ml)
        found.append(record.blood["iph"].found_ml)
        by_hand.append(sum(lesion.abc2_ml or 0.0 for lesion in record.true))
        by_network.append(sum(lesion.abc2_ml or 0.0 for lesion in record.found))
    t, f, h, n = (np.array(values, float) for values in (true, found, by_hand, by_network))
    hit = f > 0
    out["abc2_r"] = {"true outline": correlation(t, h), "network's outline": correlation(t, n)}
    out["over"] = {
        "network": mean(f[hit] / t[hit] - 1),
        "ABC/2, true outline": mean(h / t - 1),
        "ABC/2, network's outline": mean(n[hit] / t[hit] - 1),
    }
    out["iph"] = {"true": true, "found": found, "by_hand": by_hand, "by_network": by_network}
    return out


def lesions(calls: Sequence[Call]) -> dict[str, Any]:
    """Return lesions found by type and size, false ones a study, and the right type in studies of one type."""
    own = [(one, lesion) for one in calls for lesion in one.record.true]
    hit = {(kind, size): [0, 0] for kind in TYPES for size in SizeClass}
    for one, lesion in own:
        count = hit[next(kind for kind in TYPES if kind == lesion.type), SizeClass.of(lesion.volume_ml)]
        count[0] += lesion.score >= one.threshold
        count[1] += 1
    single = [
        one.record
        for one in with_blood(calls)
        if one.is_positive and sum(blood.true_ml > 0 for blood in one.record.blood.values()) == 1
    ]
    right = sum(max(record.found, key=lambda lesion: lesion.volume_ml).type == record.diagnosis for record in single)
    false = [sum(lesion.true_ml == 0 for lesion in one.record.found) for one in calls]
    return {
        "found": {f"{kind.display}, {size}": share(*count) for (kind, size), count in hit.items() if count[1]},
        "false_per_study": mean(np.array(false, float)),
        "right_type": share(right, len(single)),
    }


@dataclass(frozen=True)
class FreeResponse:
    """The free-response ROC by threshold [T]: false lesions a study, and the share of true lesions hit."""

    thresholds: Values
    false: Values
    hit: Values
    low: Values
    high: Values
    lesions: int
    studies: int


def free_response(calls: Sequence[Call]) -> FreeResponse | None:
    """Return the free-response ROC of the service's lesions; None without a true lesion. Studies are resampled."""
    records = [one.record for one in calls]
    total = np.array([len(record.true) for record in records], float)
    if not total.sum():
        return None
    hit = np.array([[point.hit for point in record.operating] for record in records], float)
    false = np.array([[point.false for point in record.operating] for record in records], float)
    drawn = np.random.default_rng(1).multinomial(len(records), [1 / len(records)] * len(records), 1000).astype(float)
    with np.errstate(invalid="ignore"):
        rates = (drawn @ hit) / (drawn @ total)[:, None]
    low, high = np.nanpercentile(rates, [2.5, 97.5], axis=0)
    return FreeResponse(
        np.array([point.threshold for point in records[0].operating]),
        false.mean(axis=0),
        hit.sum(axis=0) / total.sum(),
        low,
        high,
        int(total.sum()),
        len(records),
    )


def calibration(calls: Sequence[Call]) -> dict[str, Any]:
    """Return the share of bleeding studies in groups of rising score, alike in number, and the Brier score."""
    told = np.array([one.record.score for one in calls], float)
    bleeds = np.array([one.record.bleeds for one in calls], float)
    groups = np.array_split(np.argsort(told, kind="stable"), min(BINS, len(told)))
    return {
        "brier": float(((told - bleeds) ** 2).mean()),
        "bins": [
            {
                "score": float(told[group].mean()),
                "from": float(told[group].min()),
                "to": float(told[group].max()),
                "bleeding": share(int(bleeds[group].sum()), len(group)),
            }
            for group in groups
            if len(group)
        ],
    }


def errors(calls: Sequence[Call]) -> list[dict[str, Any]]:
    """Return every misread study with its cause: the missed, largest first, then false alarms by falling score."""
    missed = [one.record for one in with_blood(calls) if one.wrong]
    missed.sort(key=lambda record: -record.blood[record.diagnosis].true_ml)
    alarms = [one.record for one in without_blood(calls) if one.wrong]
    alarms.sort(key=lambda record: -record.score)
    return [
        {
            "study": record.name,
            "kind": "missed",
            "type": record.diagnosis,
            "volume_ml": record.blood[record.diagnosis].true_ml,
            "population": record.population,
            "score": record.score,
            "cause": causes.miss(record),
        }
        for record in missed
    ] + [
        {
            "study": record.name,
            "kind": "false alarm",
            "type": surest.type,
            "volume_ml": surest.volume_ml,
            "population": record.population,
            "score": record.score,
            "cause": surest.cause,
            "facts": surest.facts,
        }
        for record in alarms
        for surest in [max(record.found, key=lambda lesion: lesion.confidence)]
    ]


def robustness(calls: Sequence[Call], under: Mapping[str, Sequence[Call]]) -> list[dict[str, Any]]:
    """Return each condition's figures beside those of the same studies as they were drawn.

    A row has the condition, its measures (`here`), those of the same studies as drawn (`drawn`), how many calls were
    lost or gained, and Dice of all blood in both.
    """
    drawn = {(one.record.seed, one.record.diagnosis, one.record.population): one for one in calls}
    rows = []
    for name, group in under.items():
        pairs = [(drawn.get((o.record.seed, o.record.diagnosis, o.record.population)), o) for o in group]
        known = [(before, after) for before, after in pairs if before is not None]
        if not known:
            continue
        before, after = [b for b, _ in known], [a for _, a in known]
        rows.append(
            {
                "condition": name,
                "here": full_set(after),
                "drawn": full_set(before),
                "lost": sum(b.is_positive and not a.is_positive for b, a in known),
                "gained": sum(a.is_positive and not b.is_positive for b, a in known),
                "dice": overlap(after)["all"]["pooled"],
                "dice_drawn": overlap(before)["all"]["pooled"],
            }
        )
    return rows
