# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What has changed since an earlier head CT of the same patient: volumes then and now by type, and whether blood grew.

A pure comparison of two answers. Whose answers they are, and which is the earlier one, `appliance/prior` finds out.

Growth is more than 6 mL or more than a third, the definition that studies of the growth of parenchymal hemorrhage use
(Brouwers et al., JAMA Neurol 2014; Dowlatshahi et al., Neurology 2011 compare definitions; docs/sources.md); a third
counts from 1 mL on, because of a smaller lesion it is some pixels. It is applied to each type that was there, and
to the total of these; where one type fell and another rose, to the total of all, because blood may be called another
type on the second scan. A type that was not there is new, which is not growth. A volume that falls is a decrease and
nothing more: whether it was evacuated, washed out or has only become less dense, two volumes cannot say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any, Final

from appliance.findings.finding import Finding
from appliance.findings.outcome import Outcome, is_partial
from appliance.reading.contract import HemorrhageType

GROWN_ML: Final = 6.0
GROWN_SHARE: Final = 1 / 3
LEAST_ML: Final = 1.0
"""A third is growth only if it is more than this, mL."""
TOTAL: Final = "total"
"""The name of all types together, beside those of the types."""
_TYPES: Final = tuple(kind.value for kind in HemorrhageType)
_CRITERIA: Final = ("threshold", "extend_score")
_DISTORTING: Final = frozenset({"motion", "metal", "cut_off"})
"""Flaws that change how much blood is found."""


class Criterion(StrEnum):
    """By what blood has grown."""

    MILLILITRES = "more_than_6_ml"
    SHARE = "more_than_a_third"


class Obstacle(StrEnum):
    """Why two answers cannot be compared."""

    PRIOR_PART = "prior_is_of_a_part"
    NEW_PART = "new_is_of_a_part"
    BOTH_PARTS = "both_are_of_a_part"


class Caveat(StrEnum):
    """What a reader has to know of a comparison that was made nevertheless."""

    OTHER_MODEL = "other_model"
    """Another version of the network read the prior scan: a part of the difference may be the network's."""
    OTHER_CRITERIA = "other_criteria"
    """The prior scan was read with other thresholds."""
    MAYBE_RENAMED = "maybe_renamed"
    """One type fell while another rose: it may be the same blood, called otherwise."""
    FLAWED = "flawed"
    """One of the scans has motion, metal, or brain beyond its edge, which change volumes."""
    DISPUTED = "disputed"
    """A reader disagreed with the answer about the prior."""
    PASSED_OVER_PART = "passed_over_part"
    """A later scan than the prior was passed over, because its answer is about a part of the head."""
    PASSED_OVER_SAME = "passed_over_same_examination"
    """A later scan than the prior was passed over, because it is of the same examination as the new one."""


@dataclass(frozen=True)
class HeadScan:
    """What was found in one head CT, as far as a comparison needs it.

    Attributes
    ----------
    present: whether a hemorrhage was found.
    partial: whether the answer is about a part of the head.
    volumes_ml: volume by type, mL; each type is there, 0 for one that was not found.
    model: sha256 of the network that read it; empty if the answer does not say.
    criteria: the scores that decide what counts, by name.
    flaws: what is wrong with its images, by code (`imaging/flaws.py`).
    """

    present: bool
    partial: bool
    volumes_ml: Mapping[str, float]
    model: str
    criteria: Mapping[str, float]
    flaws: frozenset[str] = frozenset()

    @classmethod
    def of_answer(cls, answer: Mapping[str, Any]) -> HeadScan:
        """Return the scan that an answer in the ledger is about; an answer of an older version may say less.

        Lesions of a type that this version does not know are left out.
        """
        volumes = dict.fromkeys(_TYPES, 0.0)
        for lesion in answer.get("lesions", ()):
            if lesion["type"] in volumes:
                volumes[lesion["type"]] += float(lesion["volume_ml"])
        return cls(
            bool(answer["present"]),
            is_partial(answer),
            volumes,
            str((answer.get("model") or {}).get("sha256", "")),
            {name: float(answer[name]) for name in _CRITERIA if answer.get(name) is not None},
            frozenset(flaw["code"] for flaw in answer.get("flaws", ())),
        )

    @classmethod
    def of_finding(cls, finding: Finding, partial: bool, model: str, flaws: Iterable[str] = ()) -> HeadScan:
        """Return the scan that a finding is about; `model` is the sha256 of the network that read it."""
        volumes = dict.fromkeys(_TYPES, 0.0)
        for lesion in finding.lesions:
            volumes[lesion.type.value] += float(lesion.volume_ml)
        criteria = {name: float(getattr(finding.criteria, name)) for name in _CRITERIA}
        return cls(finding.present, partial, volumes, model, criteria, frozenset(flaws))

    @property
    def outcome(self) -> Outcome:
        """What the answer about it says."""
        return Outcome.of_reading(self.present, self.partial)


@dataclass(frozen=True)
class Growth:
    """That blood has grown: `what` is a type or `TOTAL`."""

    what: str
    criterion: Criterion


@dataclass(frozen=True)
class Change:
    """Two scans of one head, compared.

    Attributes
    ----------
    then_ml, now_ml: volume by type, mL.
    obstacle: why they cannot be compared; nothing has grown then, and there are no differences.
    caveats: what a reader has to know of the comparison.
    """

    then_ml: Mapping[str, float]
    now_ml: Mapping[str, float]
    obstacle: Obstacle | None = None
    caveats: tuple[Caveat, ...] = ()

    @property
    def kinds(self) -> tuple[str, ...]:
        """The types that were found then or now, in the contract's order."""
        return tuple(kind for kind in self.now_ml if self.then_ml.get(kind, 0.0) > 0 or self.now_ml[kind] > 0)

    def then(self, what: str) -> float:
        """Return the volume then of a type or of `TOTAL`, mL."""
        return sum(self.then_ml.values()) if what == TOTAL else self.then_ml.get(what, 0.0)

    def now(self, what: str) -> float:
        """Return the volume now of a type or of `TOTAL`, mL."""
        return sum(self.now_ml.values()) if what == TOTAL else self.now_ml.get(what, 0.0)

    def difference_ml(self, what: str) -> float:
        """Return the volume now less that then, mL; 0 where the two cannot be compared."""
        return 0.0 if self.obstacle else self.now(what) - self.then(what)

    def percent(self, what: str) -> float | None:
        """Return the difference in percent of the volume then; None where nothing was there or none can be told."""
        then = self.then(what)
        return None if self.obstacle or then <= 0 else 100 * self.difference_ml(what) / then

    @property
    def new(self) -> tuple[str, ...]:
        """The types that were not there then; none where the two cannot be compared."""
        return () if self.obstacle else tuple(kind for kind in self.kinds if self.then(kind) <= 0)

    @property
    def growth(self) -> tuple[Growth, ...]:
        """What has grown, the types before the total; by the criterion in mL where both hold."""
        there = [kind for kind in self.kinds if self.then(kind) > 0]
        counted = self.kinds if Caveat.MAYBE_RENAMED in self.caveats else there
        found = [(kind, self.then(kind), self.difference_ml(kind)) for kind in there]
        found.append((TOTAL, sum(map(self.then, there)), sum(map(self.difference_ml, counted))))
        told = ((what, _criterion(then, more)) for what, then, more in found)
        return tuple(Growth(what, criterion) for what, criterion in told if criterion is not None)

    @property
    def grown(self) -> bool:
        """Whether blood that was there has grown."""
        return bool(self.growth)

    @property
    def facts(self) -> dict[str, Any]:
        """The comparison as plain JSON."""
        every = (*self.now_ml, TOTAL)
        return {
            "comparable": self.obstacle is None,
            "obstacle": self.obstacle.value if self.obstacle else None,
            "then_ml": {what: self.then(what) for what in every},
            "now_ml": {what: self.now(what) for what in every},
            "difference_ml": {what: self.difference_ml(what) for what in every},
            "percent": {what: self.percent(what) for what in every},
            "new": list(self.new),
            "grown": self.grown,
            "grown_by": [{"what": one.what, "criterion": one.criterion.value} for one in self.growth],
            "caveats": [one.value for one in self.caveats],
        }


def compare(then: HeadScan, now: HeadScan) -> Change:
    """Return what has changed between two scans of one head."""
    obstacle = None
    if then.partial or now.partial:
        both = then.partial and now.partial
        obstacle = Obstacle.BOTH_PARTS if both else Obstacle.PRIOR_PART if then.partial else Obstacle.NEW_PART
    change = Change(dict(then.volumes_ml), dict(now.volumes_ml), obstacle)
    caveats = []
    if then.model and now.model and then.model != now.model:
        caveats.append(Caveat.OTHER_MODEL)
    if any(then.criteria[name] != now.criteria[name] for name in then.criteria.keys() & now.criteria.keys()):
        caveats.append(Caveat.OTHER_CRITERIA)
    if obstacle is None and _may_be_renamed(change):
        caveats.append(Caveat.MAYBE_RENAMED)
    if _DISTORTING & (then.flaws | now.flaws):
        caveats.append(Caveat.FLAWED)
    return replace(change, caveats=tuple(caveats))


def _criterion(then: float, more: float) -> Criterion | None:
    """Return by what a volume of `then` mL has grown that is `more` mL larger now; None if it has not."""
    if then <= 0 or more <= 0:
        return None
    if more > GROWN_ML:
        return Criterion.MILLILITRES
    return Criterion.SHARE if more > LEAST_ML and more > then * GROWN_SHARE else None


def _may_be_renamed(change: Change) -> bool:
    """Return whether a type fell, and another rose or is new, each by as much as would count as growth."""
    moved = {kind: change.difference_ml(kind) for kind in change.kinds}
    fell = any(more < 0 and _criterion(change.then(kind), -more) is not None for kind, more in moved.items())
    rose = any(
        more > LEAST_ML and (kind in change.new or _criterion(change.then(kind), more)) for kind, more in moved.items()
    )
    return fell and rose


@dataclass(frozen=True)
class PriorScan:
    """Which earlier scan is compared with.

    Attributes
    ----------
    study_uid: its study.
    report_class_uid, report_uid: the SR of its answer.
    job: number of that answer in the ledger.
    answer: what it said, as a word of `Outcome`.
    scanned: when it was scanned by the scanner's clock: an ISO time, or a date alone if its header has no time.
    """

    study_uid: str
    report_class_uid: str
    report_uid: str
    job: int
    answer: str
    scanned: str


@dataclass(frozen=True)
class Comparison:
    """An answer beside that about the patient's head CT before; `hours` lie between the scans.

    `to_the_day` says that one of them has no time of day, so that the hours are those between the days.
    """

    prior: PriorScan
    hours: float
    to_the_day: bool
    change: Change

    @property
    def identity(self) -> dict[str, Any]:
        """What of the comparison an answer depends on, as plain JSON, beside what was read of the new scan.

        That is named by its slices and its model: another engine finds volumes that differ in the last digits, and it
        is the same answer.
        """
        prior, caveats = self.prior, [one.value for one in self.change.caveats if one is not Caveat.MAYBE_RENAMED]
        return {
            "prior": [prior.study_uid, prior.report_uid, prior.scanned, round(self.hours, 3), self.to_the_day],
            "then_ml": {kind: round(ml, 3) for kind, ml in self.change.then_ml.items()},
            "obstacle": self.change.obstacle,
            "caveats": caveats,
        }

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any], now: HeadScan) -> Comparison:
        """Return the comparison of `now` with the prior that `facts`, of an earlier comparison, name."""
        told, known = facts["prior"], [Caveat(one) for one in facts["caveats"]]
        prior = PriorScan(*(told[one.name] for one in fields(PriorScan)))
        then_ml = {kind: float(facts["then_ml"][kind]) for kind in now.volumes_ml}
        obstacle = Obstacle(facts["obstacle"]) if facts["obstacle"] else None
        change = Change(then_ml, dict(now.volumes_ml), obstacle, tuple(known))
        return cls(prior, float(facts["hours"]), bool(facts["to_the_day"]), change)

    @property
    def facts(self) -> dict[str, Any]:
        """The comparison as plain JSON, for the ledger and for programs."""
        return {
            "prior": {
                "study_uid": self.prior.study_uid,
                "report_class_uid": self.prior.report_class_uid,
                "report_uid": self.prior.report_uid,
                "job": self.prior.job,
                "answer": self.prior.answer,
                "scanned": self.prior.scanned,
            },
            "hours": self.hours,
            "to_the_day": self.to_the_day,
            **self.change.facts,
        }


class Doubt(StrEnum):
    """Why an earlier scan that is there is not compared with."""

    PLACEHOLDER_ID = "placeholder_patient_id"
    OTHER_ISSUER = "issuer_of_patient_id_differs"
    OTHER_BIRTH_DATE = "birth_date_differs"
    OTHER_SEX = "sex_differs"
    OTHER_NAME = "name_differs"
    ID_ALONE = "nothing_but_the_id_agrees"
    NO_TIME = "no_time_of_scan"
    SAME_DAY_NO_TIME = "same_day_without_time"
    SAME_EXAMINATION = "same_examination"
    UNDATED = "prior_has_no_date"
    UNREADABLE = "prior_cannot_be_read"
    NOT_IN_TIME = "not_found_in_time"


@dataclass(frozen=True)
class Withheld:
    """No comparison is made, though there is an earlier scan, or may be; a person should know why."""

    doubt: Doubt

    @property
    def identity(self) -> dict[str, Any]:
        """As `Comparison.identity`."""
        return {"withheld": self.doubt.value}

    @property
    def facts(self) -> dict[str, Any]:
        """As `Comparison.facts`."""
        return {"withheld": self.doubt.value}


class ComparisonOutcome(StrEnum):
    """What came of a comparison; the values are metric labels."""

    GROWN = "grown"
    NOT_GROWN = "not_grown"
    NOT_COMPARABLE = "not_comparable"
    WITHHELD = "withheld"

    @classmethod
    def of(cls, compared: Comparison | Withheld) -> ComparisonOutcome:
        """Return the outcome of a comparison."""
        if isinstance(compared, Withheld):
            return cls.WITHHELD
        if compared.change.obstacle:
            return cls.NOT_COMPARABLE
        return cls.GROWN if compared.change.grown else cls.NOT_GROWN


Compared = Comparison | Withheld | None
"""The comparison of an answer with the prior; None where there is no prior, or it was not found in time."""
