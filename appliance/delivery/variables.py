# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What a condition of a rule can ask about; each variable is named once, with its type, words, meaning and value.

`docs/delivery.md` lists them. A new variable is a line in `VARIABLES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from enum import Enum
from typing import Any, Final

from appliance.errors import RefusalCode
from appliance.findings.change import TOTAL
from appliance.findings.outcome import Outcome, is_partial
from appliance.ledger.records import OLD, ROUTINE, URGENT, Job
from appliance.reading.contract import HemorrhageType


class Kind(Enum):
    """The type of a variable, as CEL names it."""

    STRING = "string"
    BOOL = "bool"
    INT = "int"
    DOUBLE = "double"
    STRINGS = "list(string)"
    DOUBLES = "map(string, double)"


@dataclass(frozen=True)
class Situation:
    """An answer with what rules may ask about it.

    Attributes
    ----------
    job
        The job as it ended.
    header
        Values of a source image by keyword, of the series that was read if one was; empty if there is none.
    received
        How that image arrived at Orthanc: `RemoteAET`, `CalledAET`, `RemoteIP`; empty if it arrived another way.
    zone
        The site's time zone; None for the machine's.
    earlier
        The answer that this one replaces, None if there is none.
    beside
        The other jobs of the study whose answers stand, as one about a series that a person asked for.
    """

    job: Job
    header: Mapping[str, str] = field(default_factory=dict)
    received: Mapping[str, str] = field(default_factory=dict)
    zone: tzinfo | None = None
    earlier: Job | None = None
    beside: tuple[Job, ...] = ()

    @property
    def decided(self) -> datetime:
        """When the study was decided, in the site's time zone."""
        return datetime.fromtimestamp(self.job.created, self.zone)


@dataclass(frozen=True)
class Variable:
    """One variable; `words` are its only values (or those of its members), empty if any value is possible."""

    name: str
    kind: Kind
    meaning: str
    value: Callable[[Situation], Any]
    words: tuple[str, ...] = ()


_URGENCY: Final = {OLD: "old", ROUTINE: "routine", URGENT: "urgent"}
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TYPES: Final = tuple(kind.value for kind in HemorrhageType)
_ANSWERS: Final = tuple(one.value for one in Outcome)


def is_urgent(seen: Situation) -> bool:
    """Return whether a study is to be read before others: for an answer, or because a header marks an emergency.

    So a study that was urgent without the answer stays so whatever the answer says, and one with a hemorrhage as long
    as any of its answers that stand says so: priority belongs to the study, as its mark does.
    """
    return any(one.outcome is Outcome.PRESENT or one.priority == URGENT for one in (seen.job, *seen.beside))


def volumes_ml(job: Job) -> dict[str, float]:
    """Return the volume of blood by type, mL; 0 for a type that was not found."""
    found = dict.fromkeys(_TYPES, 0.0)
    for lesion in _read(job).get("lesions", ()):
        found[lesion["type"]] = found.get(lesion["type"], 0.0) + float(lesion["volume_ml"])
    return found


def changes_ml(job: Job) -> dict[str, float]:
    """Return the volume of each type now less that of the prior CT, mL; 0 where the two cannot be compared."""
    found = job.change.get("difference_ml") or {}
    return {kind: float(found.get(kind, 0.0)) for kind in _TYPES}


def _percents(job: Job) -> dict[str, float]:
    """Return the change of each type in percent of its volume then; 0 where there is none to tell."""
    found = job.change.get("percent") or {}
    return {kind: float(found.get(kind) or 0.0) for kind in _TYPES}


def _read(job: Job) -> Mapping[str, Any]:
    """Return the facts of what was read; none for an unread study."""
    return {} if job.outcome is Outcome.UNREAD else job.answer


def _covered(job: Job) -> Mapping[str, Any]:
    return _read(job).get("coverage") or {}


def _header(keyword: str) -> Callable[[Situation], str]:
    return lambda seen: str(seen.header.get(keyword, "")).strip(" \0")


def _received(name: str) -> Callable[[Situation], str]:
    return lambda seen: str(seen.received.get(name, "")).strip(" \0")


VARIABLES: Final[tuple[Variable, ...]] = (
    Variable(
        "answer",
        Kind.STRING,
        "`present`; `absent`: none found in a whole head; `undetermined`: none found in a part of a head; `unread`: "
        "the study was refused",
        lambda seen: seen.job.outcome.value,
        _ANSWERS,
    ),
    Variable(
        "earlier",
        Kind.STRING,
        "what the answer said that this one takes the place of; empty for the first one",
        lambda seen: "" if seen.earlier is None else seen.earlier.outcome.value,
        ("", *_ANSWERS),
    ),
    Variable(
        "types",
        Kind.STRINGS,
        "the types of hemorrhage that were found: `iph`, `edh_sdh`, `sah`",
        lambda seen: [kind for kind, ml in volumes_ml(seen.job).items() if ml > 0],
        _TYPES,
    ),
    Variable(
        "volume_ml",
        Kind.DOUBLES,
        "volume by type, mL; 0.0 for a type that was not found: `volume_ml.edh_sdh > 10.0`",
        lambda seen: volumes_ml(seen.job),
        _TYPES,
    ),
    Variable("total_ml", Kind.DOUBLE, "volume of all lesions, mL", lambda seen: sum(volumes_ml(seen.job).values())),
    Variable("lesions", Kind.INT, "number of lesions", lambda seen: len(_read(seen.job).get("lesions", ()))),
    Variable(
        "probability",
        Kind.DOUBLE,
        "highest score of any detection, 0.0 to 1.0; 0.0 of an unread study",
        lambda seen: float(_read(seen.job).get("probability") or 0.0),
    ),
    Variable(
        "partial",
        Kind.BOOL,
        "whether the answer is about a part of the head",
        lambda seen: is_partial(_read(seen.job)),
    ),
    Variable(
        "slices_read",
        Kind.INT,
        "slices that were read",
        lambda seen: int(_covered(seen.job).get("slices_read") or 0),
    ),
    Variable(
        "slices_there",
        Kind.INT,
        "slices that were there to read",
        lambda seen: int(_covered(seen.job).get("slices_there") or 0),
    ),
    Variable(
        "prior",
        Kind.STRING,
        "what the answer said about the patient's last head CT before this one; empty where the appliance has none",
        lambda seen: str((seen.job.change.get("prior") or {}).get("answer", "")),
        ("", *_ANSWERS),
    ),
    Variable(
        "prior_hours",
        Kind.DOUBLE,
        "hours between the two scans; 0.0 without a prior one",
        lambda seen: float(seen.job.change.get("hours") or 0.0),
    ),
    Variable(
        "change_ml",
        Kind.DOUBLES,
        "volume by type now less that of the prior CT, mL; 0.0 without one, or where either answer is about a part",
        lambda seen: changes_ml(seen.job),
        _TYPES,
    ),
    Variable(
        "change_percent",
        Kind.DOUBLES,
        "the same in percent of the volume then; 0.0 for a type that was not there then",
        lambda seen: _percents(seen.job),
        _TYPES,
    ),
    Variable(
        "total_change_ml",
        Kind.DOUBLE,
        "volume of all lesions now less that of the prior CT, mL; 0.0 as of `change_ml`",
        lambda seen: float((seen.job.change.get("difference_ml") or {}).get(TOTAL, 0.0)),
    ),
    Variable(
        "grown",
        Kind.BOOL,
        "whether a type that was there, or the total, has grown by more than 6 mL, or by more than a third and 1 mL",
        lambda seen: bool(seen.job.change.get("grown")),
    ),
    Variable(
        "refusals",
        Kind.STRINGS,
        "codes of what was not read, as `missing_slice` (docs/quality.md)",
        lambda seen: [one["code"] for one in seen.job.refusals],
        tuple(code.value for code in RefusalCode),
    ),
    Variable(
        "flaws",
        Kind.STRINGS,
        "codes of what was wrong with images that were read nevertheless",
        lambda seen: [one["code"] for one in _read(seen.job).get("flaws", ())],
    ),
    Variable(
        "urgency",
        Kind.STRING,
        "`urgent`: a header marks an emergency (priority.urgent); `old`: scanned long before it came "
        "(priority.recent_days); else `routine`",
        lambda seen: _URGENCY.get(seen.job.priority, "routine"),
        tuple(_URGENCY.values()),
    ),
    Variable(
        "retrieved",
        Kind.BOOL,
        "whether the study was fetched from the PACS as a prior (prior.pacs); then only rules that name it hold",
        lambda seen: seen.job.retrieved,
    ),
    Variable("requested", Kind.BOOL, "whether a person asked for this answer", lambda seen: seen.job.requested),
    Variable(
        "model",
        Kind.STRING,
        "version of the network that answered",
        lambda seen: str((_read(seen.job).get("model") or {}).get("version", "")),
    ),
    Variable(
        "calling_aet",
        Kind.STRING,
        "AE title that sent the images; empty if they came by another way than C-STORE",
        _received("RemoteAET"),
    ),
    Variable("called_aet", Kind.STRING, "AE title that they were sent to", _received("CalledAET")),
    Variable("remote_ip", Kind.STRING, "address that they came from", _received("RemoteIP")),
    Variable("station", Kind.STRING, "StationName (0008,1010)", _header("StationName")),
    Variable("modality", Kind.STRING, "Modality (0008,0060)", _header("Modality")),
    Variable("accession", Kind.STRING, "AccessionNumber (0008,0050)", _header("AccessionNumber")),
    Variable("institution", Kind.STRING, "InstitutionName (0008,0080)", _header("InstitutionName")),
    Variable(
        "department",
        Kind.STRING,
        "InstitutionalDepartmentName (0008,1040)",
        _header("InstitutionalDepartmentName"),
    ),
    Variable("manufacturer", Kind.STRING, "Manufacturer (0008,0070)", _header("Manufacturer")),
    Variable("scanner", Kind.STRING, "ManufacturerModelName (0008,1090)", _header("ManufacturerModelName")),
    Variable("description", Kind.STRING, "StudyDescription (0008,1030)", _header("StudyDescription")),
    Variable("series_description", Kind.STRING, "SeriesDescription (0008,103E)", _header("SeriesDescription")),
    Variable("protocol", Kind.STRING, "ProtocolName (0018,1030)", _header("ProtocolName")),
    Variable(
        "hour",
        Kind.INT,
        "hour at which the study was decided, 0 to 23, in the site's time zone (delivery.time_zone)",
        lambda seen: seen.decided.hour,
    ),
    Variable(
        "weekday",
        Kind.STRING,
        "day of it: `mon`, `tue`, `wed`, `thu`, `fri`, `sat`, `sun`",
        lambda seen: _DAYS[seen.decided.weekday()],
        _DAYS,
    ),
)


def values_of(situation: Situation) -> dict[str, Any]:
    """Return the value of each variable by its name."""
    return {variable.name: variable.value(situation) for variable in VARIABLES}
