# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The messages about an answer to a destination: facts for programs, sentences for people.

Neither names the patient. A study is identified by its UID and accession number.
"""

from __future__ import annotations

from typing import Any, Final

from appliance.clocks import iso
from appliance.delivery.destinations.destination import Parcel
from appliance.delivery.variables import values_of, volumes_ml
from appliance.findings.outcome import Outcome
from appliance.ledger.records import Job
from appliance.reading.contract import HemorrhageType
from appliance.results.change_words import change_headline, change_sentences
from appliance.results.wording import OUTCOME_WORDS, RESEARCH_USE

NOTICE: Final = f"Not a medical device. {RESEARCH_USE}"


def facts(parcel: Parcel) -> dict[str, Any]:
    """Return the message for programs: the variables of rules, and the answer's identifiers."""
    job, delivery = parcel.situation.job, parcel.delivery
    return {
        "delivery": delivery.key,
        "rule": delivery.rule,
        "follows": delivery.follows > 0,
        "study_uid": job.study_uid,
        "report_uid": job.sr_uid or None,
        "replaces_report_uid": parcel.replaces or None,
        "decided": iso(job.created),
        "job": job.id,
        **values_of(parcel.situation),
        "change": job.change or None,
        "notice": NOTICE,
    }


def headline(job: Job) -> str:
    """Return an answer in a few words: "hemorrhage found (IPH 31.4 mL), grown: total +6.1 mL in 6.5 h"."""
    said = OUTCOME_WORDS[job.outcome]
    found = ", ".join(f"{HemorrhageType(kind).display} {ml:.1f} mL" for kind, ml in volumes_ml(job).items() if ml > 0)
    return ", ".join(filter(None, (f"{said} ({found})" if found else said, change_headline(job.change))))


def sentences(parcel: Parcel) -> list[str]:
    """Return the message for people, line by line."""
    job = parcel.situation.job
    values = values_of(parcel.situation)
    lines = [f"Head CT: {headline(job)}."]
    if values["partial"]:
        lines.append(f"Only a part of the head was read ({values['slices_read']} of {values['slices_there']} slices).")
    if job.outcome is Outcome.PRESENT:
        lines.append(f"Highest score: {values['probability']:.2f}.")
    lines += change_sentences(job.change, dated=False)
    if job.outcome is Outcome.UNREAD:
        lines.append(f"Reasons: {', '.join(values['refusals']) or 'none given'}. The study needs a reader as usual.")
    if values["earlier"]:
        lines.append(f"This takes the place of an earlier answer, which was: {OUTCOME_WORDS[values['earlier']]}.")
    lines += ["", f"Accession number: {values['accession'] or 'none'}", f"Study: {job.study_uid}"]
    lines += [f"Decided: {iso(job.created)}", f"Urgency: {values['urgency']}", f"Rule: {parcel.delivery.rule}"]
    return [*lines, "", NOTICE]
