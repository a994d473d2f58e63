# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A study's page: its answers with their key images, what readers say of them, and where they went.

Key images come from Orthanc through here, so that a reader needs an account of the service and none of Orthanc.
"""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from typing import Final

from PIL import Image
from pydicom import dcmread
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from appliance.errors import ApplianceError
from appliance.ledger.ledger import Ledger
from appliance.ledger.opinions import AnswerGoneError, InvalidOpinionError, NewOpinion, OtherOpinionError
from appliance.ledger.outcomes import LONGEST_NOTE, Reason, Stance, answers_that_count, most_urgent
from appliance.ledger.records import AuditEvent
from appliance.ledger.states import StudyState
from appliance.orthanc_errors import NotThereError
from appliance.orthanc_records import is_orthanc_id
from appliance.results.identity import series_uid_of
from appliance.results.kinds import KEY_IMAGES, SEG
from appliance.steps import TURNAROUND_STEPS
from appliance.web.forms import done, number_of, read_form, whole_number
from appliance.web.login import identify
from appliance.web.looks import Looks
from appliance.web.pages import PAGE_HEADERS, Pages
from appliance.web.patients import Archive, Patients
from appliance.web.rows import Answer, key_image_number, list_answers, study_row
from appliance.web.viewer import study_link

_DELIVERIES: Final = 50
_PICTURES: Final = 32
_LARGEST_SIDE: Final = 4096


class StudyPage:
    """The routes of a study's page."""

    def __init__(
        self, ledger: Ledger, archive: Archive, patients: Patients, pages: Pages, looks: Looks, has_viewer: bool = False
    ) -> None:
        self._ledger = ledger
        self._has_viewer = has_viewer
        self._patients = patients
        self._pages = pages
        self._looks = looks
        self._pictures = Pictures(archive)
        self.routes = [
            Route("/studies/{study}", self.show),
            Route("/studies/{study}/answers/{job}/opinion", self.judge, methods=["POST"]),
            Route("/studies/{study}/answers/{job}/key-images/{number}.png", self.picture),
        ]

    async def show(self, request: Request) -> Response:
        """Answer the page of a study."""
        study = request.path_params["study"]
        if not is_orthanc_id(study):
            return self._pages.fault(request, 404, "This is not the identifier of a study in Orthanc.")
        origin = request.client.host if request.client is not None else ""
        self._looks.note(AuditEvent.LOOKED, identify(request.scope), origin=origin, study=study)
        return await run_in_threadpool(self._show, request, study)

    def _show(self, request: Request, study: str) -> Response:
        found = self._ledger.board.study(study)
        if found is None:
            return self._pages.fault(request, 404, "The appliance does not know this study.")
        patients, orthanc_answers = self._patients.of_studies([study])
        answers = list_answers(found, self._pages.zone)
        valid = answers_that_count([one for one in answers if one.is_valid])
        top = most_urgent(valid)
        keys = [one.job.answer_key for one in answers]
        pictures = {
            one.job.id: sorted(
                key_image_number(result.kind)
                for result in self._ledger.jobs.results(one.job.id)
                if result.kind.startswith(KEY_IMAGES.name + "-")
            )
            for one in valid
        }
        return self._pages.answer(
            request,
            "study.html",
            "/",
            has_form=True,
            row=study_row(found, patients.get(study), self._pages.clock(), self._pages.zone),
            valid=sorted(valid, key=lambda one: (one is not top, -one.job.id)),
            earlier=[one for one in answers if one not in valid],
            refusals=found.study.refusals,
            pictures=pictures,
            viewer=self._viewer_link(found.study.uid, top),
            history=self._ledger.opinions.of_answers(keys),
            deliveries=self._ledger.outbox.deliveries(study_uid=found.study.uid, limit=_DELIVERIES),
            orthanc_answers=orthanc_answers,
            longest_note=LONGEST_NOTE,
            steps=TURNAROUND_STEPS,
        )

    def _viewer_link(self, study_uid: str, answer: Answer | None) -> str:
        """Return the address of the study in the viewer, with the masks of an answer; empty without a viewer."""
        if not self._has_viewer:
            return ""
        results = self._ledger.jobs.results(answer.job.id) if answer is not None else []
        masks = [str(series_uid_of(one.sop_instance_uid)) for one in results if one.kind == SEG.name]
        return study_link(study_uid, *masks[:1])

    async def judge(self, request: Request) -> Response:
        """Take an opinion about an answer: agree, disagree with a reason, or take back what was said."""
        study, job = request.path_params["study"], whole_number(request.path_params["job"])
        fields = await read_form(request)
        try:
            new = NewOpinion(
                identify(request.scope),
                Stance(fields.get("stance", "")),
                Reason(fields.get("reason", "")),
                fields.get("note", ""),
                number_of(fields, "seen"),
            )
        except ValueError:
            raise HTTPException(400, "stance or reason is none that there is") from None
        if job is None or not await run_in_threadpool(self._is_of, study, job):
            raise HTTPException(404, "the study has no answer with this number")
        try:
            await run_in_threadpool(self._ledger.opinions.give, job, new)
        except InvalidOpinionError as error:
            raise HTTPException(422, str(error)) from None
        except (AnswerGoneError, OtherOpinionError) as error:
            raise HTTPException(409, str(error)) from None
        return done(request, fields.get("back", f"/studies/{study}"))

    def _is_of(self, study: str, job: int) -> bool:
        return any(one.id == job for one in self._ledger.jobs.of_study(study))

    async def picture(self, request: Request) -> Response:
        """Answer a key image as PNG; 404 if the answer has none with this number, or Orthanc no longer holds it."""
        study = request.path_params["study"]
        job, number = (whole_number(request.path_params[name]) for name in ("job", "number"))
        origin = request.client.host if request.client is not None else ""
        if is_orthanc_id(study):
            self._looks.note(AuditEvent.LOOKED, identify(request.scope), origin=origin, study=study)
        try:
            instance = await run_in_threadpool(self._find, study, job, number)
            if instance is None:
                raise HTTPException(404, "the study has no such key image")
            png = await run_in_threadpool(self._pictures.png, instance)
        except NotThereError:
            raise HTTPException(404, "Orthanc no longer holds this key image") from None
        return Response(png, media_type="image/png", headers=PAGE_HEADERS)

    def _find(self, study: str, job: int | None, number: int | None) -> str | None:
        if job is None or number is None or not self._is_of(study, job):
            return None
        found = self._ledger.board.study(study)
        if found is None or found.study.state is StudyState.DELETED:  # what is kept in memory is not shown either
            return None
        name = KEY_IMAGES.named(number)
        return next((one.orthanc_instance for one in self._ledger.jobs.results(job) if one.kind == name), None)


class Pictures:
    """Key images as PNG, the newest kept in memory."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, bytes] = OrderedDict()

    def png(self, instance: str) -> bytes:
        """Return the picture of a secondary capture. Raises `NotThereError`, `UnavailableError` or `ApplianceError`."""
        with self._lock:
            kept = self._kept.get(instance)
        if kept is not None:
            return kept
        made = _png_of(self._archive.file(instance))
        with self._lock:
            self._kept[instance] = made
            while len(self._kept) > _PICTURES:
                self._kept.popitem(last=False)
        return made


def _png_of(file: bytes) -> bytes:
    try:
        capture = dcmread(io.BytesIO(file))
        if max(int(capture.Rows), int(capture.Columns)) > _LARGEST_SIDE:
            raise ValueError("larger than any key image")
        made = io.BytesIO()
        Image.fromarray(capture.pixel_array).save(made, "PNG")
    except Exception as error:  # what Orthanc holds under this identifier is no key image of ours
        raise ApplianceError(f"a key image cannot be shown ({type(error).__name__})") from error
    return made.getvalue()
