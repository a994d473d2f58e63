# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A folder of DICOM files through the same pipeline, without Orthanc: `appliance analyze DIR --out DIR`.

This module finds the studies of a folder, skips what is not DICOM, and writes the answer as files. The steps of an
answer are in `pipeline.py`.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import socket
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import pydicom
from pydicom.uid import MediaStorageDirectoryStorage

from appliance.answer_folder import RESULT, AnswerFolder
from appliance.delivery.summary import summary
from appliance.errors import (
    ApplianceError,
    DrawingError,
    Refusal,
    RefusalCode,
    RefusedError,
    SettingsError,
    UnavailableError,
    refusals_json,
)
from appliance.imaging.instances import LARGEST_HEADER, Instance, parse_instance
from appliance.inference.detector import TritonDetector
from appliance.inference.series_classifier import SeriesClassifier
from appliance.inference.served_model import Target
from appliance.inference.server import TritonServer
from appliance.models.standing import targets_of
from appliance.pipeline import Answer, Pipeline, ReadAnswer, Study
from appliance.settings import Settings

_FILE_META_WITHIN: Final = 2048
_LARGEST_FILE: Final = 64 * 2**20
"""The largest file that is read, bytes: a CT image has half a megabyte to two."""

PAUSES_S: Final = (2.0, 4.0, 8.0, 16.0, 30.0)
"""The pauses before a Triton that is there and does not answer is asked again, s; after the last one we give up."""

T = TypeVar("T")


class WhichStudyError(ApplianceError):
    """The folder holds several studies, and no study was named, or one that is not there."""


@dataclass(frozen=True)
class FolderContents:
    """What a folder holds: its studies by Study Instance UID, and what could not be read as an instance."""

    studies: dict[str, Study]
    refusals: tuple[Refusal, ...]

    def study(self, uid: str | None) -> Study | None:
        """Return the study `uid`, the only one when `uid` is None, or None when there is no DICOM at all.

        Raises `WhichStudyError` with the studies to choose from.
        """
        if not self.studies:
            return None
        if uid is None and len(self.studies) == 1:
            return next(iter(self.studies.values()))
        if uid in self.studies:
            return self.studies[uid]
        listed = "\n".join(f"  {known}  ({len(study.instances)} files)" for known, study in self.studies.items())
        asked = "several studies are in the folder" if uid is None else f"study {uid} is not in the folder"
        raise WhichStudyError(f"{asked}; name one with --study:\n{listed}")


def folder_contents(folder: Path) -> FolderContents:
    """Return the studies under `folder`, subfolders included; files that are not DICOM become refusals.

    A folder without a file is a refusal too (NO_IMAGES). Raises `ApplianceError` for a file or subfolder that cannot be
    read: it may hold a part of the head.
    """
    instances: dict[str, list[Instance]] = {}
    refusals: list[Refusal] = []
    files = unread = 0
    for path in sorted(_files_under(folder)):
        files += 1
        name = str(path.relative_to(folder))
        data = _read(path, LARGEST_HEADER)
        try:
            instance = parse_instance(str(path), data)
        except RefusedError as error:
            refusals += [Refusal(r.code, f"{name}: {r.reason}", r.series_uid) for r in error.refusals]
            unread += _is_damaged(data)
        else:
            instances.setdefault(str(instance.header.get("StudyInstanceUID", "")), []).append(instance)
    if not files:
        refusals.append(Refusal(RefusalCode.NO_IMAGES, "the folder holds no file"))
    studies = {uid: Study(uid, tuple(found), fetch=_file, unread=unread) for uid, found in instances.items()}
    return FolderContents(studies, tuple(refusals))


def _is_damaged(data: bytes) -> bool:
    """Return whether an unreadable file was meant to be a DICOM object, and not the directory of a disc."""
    return data[128:132] == b"DICM" and MediaStorageDirectoryStorage.encode() not in data[:_FILE_META_WITHIN]


def _files_under(folder: Path) -> Iterator[Path]:
    """Yield every file under a folder, those of linked folders too, each folder once."""

    def unreadable(error: OSError) -> None:
        raise ApplianceError(
            f"{error.filename}: this file or folder cannot be read: {error.strerror}; it may hold a part of the study, "
            "so nothing was read; check its permissions"
        ) from error

    seen: set[Path] = set()
    for where, subfolders, files in os.walk(folder, onerror=unreadable, followlinks=True):
        if Path(where).resolve() in seen:
            subfolders.clear()
            continue
        seen.add(Path(where).resolve())
        for path in (Path(where) / name for name in files):
            try:
                kind = path.stat().st_mode
            except OSError as error:  # its folder may be listed and not entered, or it links to what is not there
                unreadable(error)
            else:
                if stat.S_ISREG(kind):  # reading a pipe would wait
                    yield path


def _file(path: str) -> bytes:
    """Return the content of a file. Raises `RefusedError` when it is larger than any image, else as `_read`."""
    content = _read(Path(path), _LARGEST_FILE + 1)
    if len(content) > _LARGEST_FILE:
        raise RefusedError(Refusal(RefusalCode.TOO_LARGE, f"{Path(path).name}: more than {_LARGEST_FILE} bytes"))
    return content


def _read(path: Path, limit: int) -> bytes:
    """Return the first `limit` bytes of a file.

    Raises `RefusedError` when the file was removed meanwhile, `ApplianceError` when it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(limit)
    except FileNotFoundError as error:
        gone = Refusal(RefusalCode.SOURCE_DELETED, f"{path.name} was removed before it was read")
        raise RefusedError(gone) from error
    except OSError as error:
        raise ApplianceError(f"{path}: cannot be read: {error.strerror}; check the file's permissions") from error


def with_secret(settings: Settings) -> Settings:
    """Return the settings with a secret for a Triton started for one analysis, unless they have one."""
    triton = settings.triton
    secret = triton.secret or secrets.token_urlsafe(24)  # a Triton that asks for none ignores it
    return settings.model_copy(update={"triton": triton.model_copy(update={"secret": secret})})


@contextmanager
def detector_at_hand(settings: Settings, say: Callable[[str], None]) -> Iterator[TritonDetector]:
    """Yield a detector on the Triton of the settings; start that Triton when none is there, and stop it again."""
    triton = settings.triton
    promoted = targets_of(settings, say)

    def current_targets() -> Sequence[Target]:
        return promoted

    if _listens(triton.host, triton.grpc_port):
        detector = patiently(lambda: TritonDetector(triton, targets=current_targets), say)
        try:
            yield detector
        finally:
            detector.close()
        return
    say(f"no Triton answers on {triton.host}:{triton.grpc_port}: starting one")
    server = TritonServer(triton, settings.state_dir, site_models=settings.site_models)
    try:
        server.start()
    except OSError as error:
        raise SettingsError(
            f"state_dir = {settings.state_dir}: Triton cannot be started from it ({error.strerror}); give this user "
            "the folder, make room on its disk, or set state_dir to another one"
        ) from error
    with server:  # which runs already, and is stopped at the end
        detector = TritonDetector(triton, targets=current_targets)
        try:
            yield detector
        finally:
            detector.close()


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError:
        return False
    return True


def patiently(ask: Callable[[], T], say: Callable[[str], None], pauses_s: Sequence[float] = PAUSES_S) -> T:
    """Return what `ask` returns; while it raises `UnavailableError`, say why and retry after each pause.

    The service retries forever; here a person is waiting, so after the last pause the error is raised.
    """
    for pause_s in pauses_s:
        try:
            return ask()
        except UnavailableError as error:
            say(f"{error}\nasking again in {pause_s:g} s")
            time.sleep(pause_s)
    return ask()


def analyze(study: Study, settings: Settings, detector: TritonDetector, say: Callable[[str], None]) -> Answer:
    """Return the pipeline's answer about one study of a folder; a Triton in trouble is asked again (`patiently`)."""
    classifier = SeriesClassifier(settings.triton)
    try:
        return patiently(lambda: Pipeline(settings, detector, classifier).answer(study), say)
    finally:
        classifier.close()


def result(answer: Answer | None, refusals: tuple[Refusal, ...], model: dict[str, str] | None) -> dict[str, Any]:
    """Return what `result.json` says: the answer's facts under fixed keys, nulls where nothing was read."""
    facts = summary(answer) if isinstance(answer, ReadAnswer) else {}
    if isinstance(answer, ReadAnswer):
        uids = [str(instance.header.SOPInstanceUID) for instance in answer.stack.instances]
        for lesion, said in zip(answer.finding.lesions, facts["lesions"], strict=True):
            said["slices"] = [uids[z] for z in lesion.slices]
    timing = dict(answer.timing_ms) if answer else {}
    every_refusal = (*refusals, *(answer.refusals if answer else ()))
    return {
        "present": facts.get("present"),
        "probability": facts.get("probability"),
        "coverage": facts.get("coverage"),
        "flaws": facts.get("flaws", []),
        "lesions": facts.get("lesions", []),
        "series": {key: facts["series"][key] for key in ("uid", "description", "slices")} if facts else None,
        "refusals": refusals_json(every_refusal),
        "timing_ms": {**timing, "total": sum(timing.values())},
        "model": model,
    }


def write_answer(out: Path, answer: Answer | None, document: dict[str, Any], say: Callable[[str], None]) -> list[Path]:
    """Write `result.json`, the result objects as `*.dcm` and the key images as PNG too; return what was written.

    If a key image cannot be drawn, the answer is written without it, as in the service, and `say` is told. The objects
    of an earlier answer in the folder are removed: they must not stand beside another answer.

    Raises `ApplianceError` when it cannot be written; then nothing is changed (`AnswerFolder`).
    """
    # Everything is made before anything is written: a fault must not leave half an answer in the folder.
    results = answer.results if isinstance(answer, ReadAnswer) else None
    files = {RESULT: (json.dumps(document, indent=2) + "\n").encode()}
    try:
        for name, dataset in results.make_datasets() if results else ():
            files[f"{name}.dcm"] = _encode(dataset)
        files |= {f"{name}.png": picture for name, picture in (results.key_image_pngs() if results else ())}
    except DrawingError as error:  # SEG and SR are there by now
        say(f"{error}: the answer is written without all its key images")
    return AnswerFolder(out).write(files)


def _encode(dataset: pydicom.Dataset) -> bytes:
    file = io.BytesIO()
    pydicom.dcmwrite(file, dataset, enforce_file_format=True)
    return file.getvalue()
