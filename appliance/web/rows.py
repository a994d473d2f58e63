# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""An answer and a study in the words and numbers that the pages show; the templates only arrange them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Final

from appliance.errors import RefusalCode
from appliance.findings.outcome import Outcome
from appliance.ledger.board import BoardStudy
from appliance.ledger.board_rows import STANDING
from appliance.ledger.outcomes import (
    REASONS,
    Reason,
    Stance,
    answers_that_count,
    most_urgent,
)
from appliance.ledger.records import Job, Opinion
from appliance.ledger.states import OPEN, JobState, StudyState
from appliance.reading.contract import HemorrhageType
from appliance.results.change_words import change_headline
from appliance.results.wording import covered_words, millilitres, of_part
from appliance.web.moments import Moment, age_words, moment
from appliance.web.patients import Patient

_DISPLAY: Final = {kind.value: kind.display for kind in HemorrhageType}
_SAID: Final = {
    Outcome.PRESENT: "Hemorrhage",
    Outcome.UNDETERMINED: "None found",
    Outcome.UNREAD: "Not read",
    Outcome.ABSENT: "None found",
}
_COLOUR: Final = {
    Outcome.PRESENT: "bad",
    Outcome.UNDETERMINED: "held",
    Outcome.UNREAD: "held",
    Outcome.ABSENT: "good",
}
_REASONS: Final = 2
_NOT_COVERED: Final = {"partial": False, "missing": [], "slices_read": 0, "slices_there": 0, "extent_mm": 0.0}
_NUMBER: Final = re.compile(r"\d+$")


@dataclass(frozen=True)
class Answer:
    """One answer for a page.

    Attributes
    ----------
    said, colour
        The outcome in words, and the class of its colour.
    part
        That it is about a part of the head, in words; empty for a whole one.
    volumes
        Per type what was found: "SAH 12.3 mL".
    change
        What changed against the patient's prior CT, in words; empty if there is none to compare with.
    grown
        Whether a hemorrhage has grown.
    why
        Why the study was not read, the first reasons; nothing for one that was.
    opinion
        The newest opinion about it, None if there is none that counts; `seen` is its number, or that of the one taken
        back, for the form.
    reasons
        With what a reader may disagree.
    facts
        The facts of the answer, with a place for each that an older version did not record; empty for an unread study.
    """

    job: Job
    outcome: Outcome
    said: str
    colour: str
    part: str
    volumes: tuple[str, ...]
    probability: str
    threshold: str
    change: str
    grown: bool
    covered: str
    why: tuple[str, ...]
    opinion: Opinion | None
    seen: int
    reasons: tuple[Reason, ...]
    decided: Moment
    facts: Mapping[str, Any]

    @property
    def number(self) -> int:
        """The number of its job."""
        return self.job.id

    @property
    def requested(self) -> bool:
        """Whether a person asked for it."""
        return self.job.requested

    @property
    def judged(self) -> bool:
        """Whether an opinion about it counts."""
        return self.opinion is not None

    @property
    def is_valid(self) -> bool:
        """Whether it stands: no other answer took its place."""
        return self.job.state in STANDING


@dataclass(frozen=True)
class StudyRow:
    """One study for a page: whose it is, its most urgent answer, and what goes on with it.

    `answer` is None as long as there is none. `others` says how many more answers count, and `judged` how many of all
    were judged. `busy` says what goes on now: being received, waiting, being read.
    """

    id: str
    uid: str
    patient: Patient | None
    answer: Answer | None
    others: int
    judged: int
    arrived: Moment
    age: str
    turnaround: str
    busy: str
    busy_colour: str
    why: str
    deleted: bool

    @property
    def title(self) -> str:
        """What the study is called: the patient's name or number, or the end of its UID."""
        known = self.patient or Patient()
        return known.name or known.number or f"…{self.uid[-16:]}"


def study_row(found: BoardStudy, patient: Patient | None, now: float, zone: tzinfo | None) -> StudyRow:
    """Return a study for a page; `now` is Unix time, `zone` the site's time zone."""
    answers = list_answers(found, zone)
    counting = answers_that_count([one for one in answers if one.is_valid])
    top = most_urgent(counting)
    busy, colour, why = _busy(found)
    return StudyRow(
        found.study.id,
        found.study.uid,
        patient,
        top,
        max(0, len(counting) - 1),
        sum(one.judged for one in counting),
        moment(found.study.last_instance_at, zone),
        age_words(now - found.study.last_instance_at),
        _turnaround(top),
        busy,
        colour,
        why,
        found.study.state is StudyState.DELETED,
    )


def row_that_cannot_be_shown(found: BoardStudy, patient: Patient | None, now: float, zone: tzinfo | None) -> StudyRow:
    """Return a study of whose answers nothing can be shown: whose it is, when it came, and that this is so."""
    study, why = found.study, "look at the results in the archive; the service's log says what is wrong"
    at = moment(study.last_instance_at, zone)
    age = age_words(now - study.last_instance_at)
    return StudyRow(study.id, study.uid, patient, None, 0, 0, at, age, "", "cannot be shown", "held", why, False)


def list_answers(found: BoardStudy, zone: tzinfo | None) -> list[Answer]:
    """Return the answers of a study, superseded ones too, the newest first."""
    given = [job for job in found.jobs if job.state in STANDING or job.state is JobState.SUPERSEDED]
    return [_answer(job, found.opinions.get(job.answer_key), zone) for job in reversed(given)]


def _answer(job: Job, opinion: Opinion | None, zone: tzinfo | None) -> Answer:
    outcome = job.outcome
    facts = _with_all_places(job.answer) if outcome is not Outcome.UNREAD else {}
    covered = facts.get("coverage")
    probability, threshold = facts.get("probability"), facts.get("threshold")
    change, grown = change_words(job)
    return Answer(
        job,
        outcome,
        _SAID[outcome],
        _COLOUR[outcome],
        of_part(covered).strip(),
        volumes_of(facts.get("lesions", ())),
        "" if probability is None else f"{probability:.3f}",
        "" if threshold is None else f"{threshold:.3f}",
        change,
        grown,
        "" if not covered else covered_words(covered),
        why_unread(job.refusals) if outcome is Outcome.UNREAD else (),
        opinion if opinion is not None and opinion.stance is not Stance.TAKEN_BACK else None,
        opinion.id if opinion is not None else 0,
        REASONS[outcome],
        moment(job.since, zone),
        facts,
    )


def _with_all_places(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of an answer with an empty place for each that an older version did not record."""
    covered = answer.get("coverage")
    return {
        **answer,
        "lesions": [{"type": "", "volume_ml": 0.0, **one} for one in answer.get("lesions") or ()],
        "flaws": [{"code": "", "reason": "", **one} for one in answer.get("flaws") or ()],
        "series": {"description": "", "uid": "", "reasons": [], **(answer.get("series") or {})},
        "model": {"name": "", "version": "not recorded", "sha256": "", **(answer.get("model") or {})},
        "coverage": {**_NOT_COVERED, **covered} if covered else None,
    }


def volumes_of(lesions: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the volume of blood by type, the largest first: "EDH/SDH 31.2 mL"."""
    found: dict[str, float] = {}
    for lesion in lesions:
        found[lesion["type"]] = found.get(lesion["type"], 0.0) + float(lesion["volume_ml"])
    largest = sorted(found.items(), key=lambda pair: -pair[1])
    return tuple(f"{_DISPLAY.get(kind, kind)} {millilitres(ml)}" for kind, ml in largest)


def change_words(job: Job) -> tuple[str, bool]:
    """Return what changed against the patient's prior CT, in words, and whether a hemorrhage has grown."""
    change = job.change
    if "withheld" in change:
        return f"not compared: {refusal_title(change['withheld'])}", False
    if not change:
        return "", False
    if not change["comparable"]:
        return f"not compared: {refusal_title(change['obstacle'])}", False
    caveats = "".join(f" ({refusal_title(one)})" for one in change["caveats"])
    return f"{change_headline(change)}{caveats}", bool(change["grown"])


def why_unread(refusals: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the first different reasons for which a study was not read; the general one only where it is alone."""
    said = [one["reason"] for one in refusals if one["code"] != RefusalCode.NO_SUITABLE_SERIES]
    return tuple(dict.fromkeys(said or [one["reason"] for one in refusals]))[:_REASONS]


def refusal_title(code: str) -> str:
    """Return the code of a refusal or a flaw in words: "missing slice"."""
    return code.replace("_", " ")


def key_image_number(kind: str) -> int:
    """Return the number of a key image, by its kind in the ledger."""
    found = _NUMBER.search(kind)
    return int(found[0]) if found else 0


def _turnaround(answer: Answer | None) -> str:
    return "" if answer is None or answer.job.turnaround_s is None else f"{answer.job.turnaround_s:.1f} s"


def _busy(found: BoardStudy) -> tuple[str, str, str]:
    """Return what goes on with a study now, the class of its colour, and why it waits."""
    study = found.study
    if study.state is StudyState.RECEIVING:
        return "being received", "", study.why
    if study.state is StudyState.INCOMPLETE:
        return "waits for images", "held", study.why
    current = [job for job in found.jobs if job.state in OPEN]
    if not current:
        return "", "", ""
    job = current[-1]
    words = {JobState.QUEUED: "queued", JobState.RUNNING: "being read", JobState.DELIVERING: "being stored"}
    if job.state is JobState.WAITING:
        return "waits for its next try", "held", job.error
    return words[job.state], "", job.error
