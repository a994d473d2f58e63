# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Fetches the prior head CT of a patient from the PACS, if the site wants that (`prior.pacs`).

Once an answer stands, the appliance's Orthanc asks the PACS by C-FIND for the patient's CT studies, and has the newest
head CT before this one sent by C-MOVE. It arrives as any study does, and is known as fetched: it is read after
everything else, its answer leaves the appliance only by rules that ask for it, and `follow_up` compares once it stands.
Little is fetched: `prior.most` studies for an answer, none older than `prior.days`, none larger than
`prior.most_images`, none that may be another patient's, and each only once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

import structlog

from appliance.errors import ApplianceError
from appliance.imaging.body_part import Region, region
from appliance.ledger.ledger import Ledger
from appliance.ledger.records import Job
from appliance.log import describe
from appliance.metrics import Metrics
from appliance.orthanc import Orthanc
from appliance.orthanc_errors import NotThereError
from appliance.prior.patient import doubt, is_placeholder
from appliance.prior.scan_time import ScanTime, parse_scan_time, scan_time
from appliance.prior.search import usable_time
from appliance.sections.prior import PriorSettings
from appliance.uids import is_uid

_ASKED: Final = (
    "StudyInstanceUID",
    "StudyTime",
    "StudyDescription",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "IssuerOfPatientID",
    "NumberOfStudyRelatedInstances",
)
_WILD: Final = frozenset("*?\\")
_MOST_ANSWERS: Final = 500
_SERIES_ASKED: Final = 5
"""Of so many studies whose description names no part of the body, the series are asked for."""
_GIVEN_UP_S: Final = 1800.0
Tags = dict[str, str]


class Retrieval:
    """Asks the PACS and has studies sent; used by one thread."""

    def __init__(self, settings: PriorSettings, aet: str, orthanc: Orthanc, ledger: Ledger, metrics: Metrics) -> None:
        self._settings = settings
        self._aet = aet
        self._orthanc = orthanc
        self._ledger = ledger
        self._metrics = metrics
        self._under_way: dict[str, tuple[str, float]] = {}
        self._log = structlog.get_logger("prior")

    def fetch(self, job: Job, header: Mapping[str, Any]) -> int:
        """Have the prior of a job sent that the PACS holds and Orthanc does not; return how many studies are sent.

        `header` holds the values of an image that the job read. A PACS that does not answer is logged and counted.
        Raises `UnavailableError` when Orthanc or the ledger does not answer.
        """
        patient_id = str(header.get("PatientID") or "").strip(" \0")
        at = usable_time(header, self._ledger.clock())
        if at is None or is_placeholder(patient_id) or _WILD & set(patient_id):
            return 0
        known = parse_scan_time(str((job.change.get("prior") or {}).get("scanned", "")))
        sent = 0
        try:
            with _Query(self._orthanc, self._settings.pacs, "Study", self._study_query(patient_id, at)) as query:
                for number, found in self._priors(query, job, header, at, known):
                    if sent == self._settings.most:
                        break
                    sent += self._have_sent(query, number, found["StudyInstanceUID"], job)
        except ApplianceError as error:
            self._orthanc.system()  # raises if it is Orthanc that does not answer, and not the PACS
            self._metrics.priors_fetched.labels("failed").inc()
            self._log.warning("the PACS cannot be asked for a prior", study=job.study_uid, error=describe(error))
        return sent

    def look(self) -> None:
        """See which transfers have ended, and count them."""
        for move, (study, begun) in list(self._under_way.items()):
            try:
                state = str((self._orthanc.ask("GET", f"/jobs/{move}") or {}).get("State", ""))
            except NotThereError:  # Orthanc forgets jobs, and all of them when it starts again
                state = "Failure"
            if self._ledger.clock() - begun > _GIVEN_UP_S:
                state = "Failure"
            if state in ("Success", "Failure"):
                del self._under_way[move]
                if state == "Failure" and self._orthanc.find_study(study) is None:
                    self._ledger.priors.forget_retrieval(study)
                outcome = "fetched" if state == "Success" else "failed"
                self._metrics.priors_fetched.labels(outcome).inc()
                tell = self._log.info if state == "Success" else self._log.warning
                tell("a prior was fetched" if state == "Success" else "a prior was not sent", study=study)

    def _study_query(self, patient_id: str, at: ScanTime) -> Tags:
        first = at.at - timedelta(days=self._settings.days)
        asked = dict.fromkeys(_ASKED, "")
        days = f"{first:%Y%m%d}-{at.at:%Y%m%d}"
        return asked | {"PatientID": patient_id, "ModalitiesInStudy": "CT", "StudyDate": days}

    def _priors(
        self, query: _Query, job: Job, header: Mapping[str, Any], at: ScanTime, known: ScanTime | None
    ) -> Iterator[tuple[int, Tags]]:
        """Yield the head CTs before `at` and after the known prior that may be this patient's, the newest first."""
        dated = []
        for number, found in enumerate(query.answers()[:_MOST_ANSWERS]):
            then = scan_time(found)
            if then is None or not then.is_order_known(at) or then.hours_until(at) <= 0:
                continue
            if known is not None and then.hours_until(known) >= 0:
                continue
            uid = found.get("StudyInstanceUID", "")
            is_same = found.get("PatientID", "").strip() == str(header.get("PatientID") or "").strip(" \0")
            if is_same and doubt(header, found) is None and is_uid(uid) and uid != job.study_uid:
                dated.append((then.hours_until(at), number, found))
        series_asked = 0
        for _, number, found in sorted(dated, key=lambda one: one[:2]):
            where = region(found.get("StudyDescription", ""))
            if where is Region.NOT_SAID and series_asked < _SERIES_ASKED:
                series_asked += 1
                where = self._region_of_series(found["StudyInstanceUID"])
            if where is Region.HEAD and not self._is_too_large(found):
                yield number, found

    def _is_too_large(self, found: Tags) -> bool:
        told = found.get("NumberOfStudyRelatedInstances", "").strip()
        return told.isdecimal() and int(told) > self._settings.most_images

    def _region_of_series(self, study_uid: str) -> Region:
        asked = {"StudyInstanceUID": study_uid, "Modality": "CT", "SeriesDescription": "", "BodyPartExamined": ""}
        with _Query(self._orthanc, self._settings.pacs, "Series", asked) as query:
            said = [
                region(one.get(keyword, ""))
                for one in query.answers()[:_MOST_ANSWERS]
                for keyword in ("BodyPartExamined", "SeriesDescription")
            ]
        return Region.HEAD if Region.HEAD in said else Region.NOT_SAID

    def _have_sent(self, query: _Query, number: int, study_uid: str, job: Job) -> int:
        if self._orthanc.find_study(study_uid) or not self._ledger.priors.note_retrieval(study_uid, job):
            return 0
        try:
            move = query.retrieve(number, self._aet)
        except ApplianceError:
            self._ledger.priors.forget_retrieval(study_uid)
            raise
        self._under_way[move] = study_uid, self._ledger.clock()
        self._log.info("a prior is being fetched", study=study_uid, of=job.study_uid)
        return 1


def try_query(orthanc: Orthanc, pacs: str) -> None:
    """Ask the PACS for a patient whom it cannot have. Raises `ApplianceError` when it does not answer."""
    with _Query(orthanc, pacs, "Study", {"PatientID": f"none-{uuid4().hex[:24]}", "StudyInstanceUID": ""}) as query:
        query.answers()


class _Query:
    """A C-FIND of the appliance's Orthanc, forgotten at the end; entering it asks the PACS."""

    def __init__(self, orthanc: Orthanc, pacs: str, level: str, asked: Tags) -> None:
        self._orthanc = orthanc
        self._pacs = pacs
        self._body = {"Level": level, "Query": asked}
        self._path = ""

    def __enter__(self) -> _Query:
        answer = self._orthanc.ask("POST", f"/modalities/{self._pacs}/query", self._body)
        self._path = f"/queries/{answer['ID']}"
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._orthanc.ask("DELETE", self._path)
        except ApplianceError:  # Orthanc forgets old ones by itself
            return

    def answers(self) -> list[Tags]:
        """Return what the PACS answered, by keyword."""
        found = self._orthanc.ask("GET", f"{self._path}/answers?expand&simplify")
        return [{str(name): str(value or "") for name, value in one.items()} for one in found]

    def retrieve(self, number: int, aet: str) -> str:
        """Have an answer's study sent to `aet`; return Orthanc's identifier of the transfer."""
        body = {"TargetAet": aet, "Synchronous": False}
        return str(self._orthanc.ask("POST", f"{self._path}/answers/{number}/retrieve", body)["ID"])
