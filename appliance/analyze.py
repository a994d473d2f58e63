# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A folder of DICOM files through the same pipeline, without Orthanc: `appliance analyze DIR --out DIR`.

This module finds the studies of a folder, skips what is not DICOM, and writes the answer as files. The steps of an
answer are in `pipeline.py`.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import pydicom
from pydicom.uid import MediaStorageDirectoryStorage

from appliance.delivery.summary import summary
from appliance.errors import ApplianceError, DrawingError, Refusal, RefusalCode, RefusedError, UnavailableError
from appliance.imaging.instances import Instance, parse_instance
from appliance.inference.detector import TritonDetector
from appliance.inference.series_classifier import SeriesClassifier
from appliance.inference.server import TritonServer
from appliance.ledger.records import plain
from appliance.pipeline import Answer, Pipeline, ReadAnswer, Study
from appliance.results.report import RESULT_TYPES
from appliance.settings import Settings

_FILE_META_WITHIN: Final = 2048
_EXTENSIONS: Final = ("dcm", "png")

PAUSES_S: Final = (2.0, 4.0, 8.0, 16.0, 30.0)
"""The pauses after which a Triton that is there and does not answer is asked again, s; then it is given up."""

T = TypeVar("T")


class WhichStudyError(ApplianceError):
    """The folder holds several studies and none, or one that is not there, was named."""


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

    Raises `ApplianceError` for a file or subfolder that cannot be read: it may hold a part of the head.
    """
    instances: dict[str, list[Instance]] = {}
    refusals: list[Refusal] = []
    unread = 0
    for path in sorted(_files_under(folder)):
        name = str(path.relative_to(folder))
        data = _file(str(path))
        try:
            instance = parse_instance(str(path), data)
        except RefusedError as error:
            refusals += [Refusal(r.code, f"{name}: {r.reason}", r.series_uid) for r in error.refusals]
            unread += _is_damaged(data)
        else:
            instances.setdefault(str(instance.header.get("StudyInstanceUID", "")), []).append(instance)
    studies = {uid: Study(uid, tuple(found), fetch=_file, unread=unread) for uid, found in instances.items()}
    return FolderContents(studies, tuple(refusals))


def _is_damaged(data: bytes) -> bool:
    """Return whether a file that cannot be read was meant to be a DICOM object, and not the directory of a disc."""
    return data[128:132] == b"DICM" and MediaStorageDirectoryStorage.encode() not in data[:_FILE_META_WITHIN]


def _files_under(folder: Path) -> Iterator[Path]:
    """Yield every file under a folder, those of linked folders too, each folder once."""

    def unreadable(error: OSError) -> None:
        raise ApplianceError(
            f"{error.filename}: this folder cannot be read: {error.strerror}; it may hold a part of the study, so "
            "nothing was read; check its permissions"
        ) from error

    seen: set[Path] = set()
    for where, subfolders, files in os.walk(folder, onerror=unreadable, followlinks=True):
        if Path(where).resolve() in seen:
            subfolders.clear()
            continue
        seen.add(Path(where).resolve())
        yield from (path for path in (Path(where) / name for name in files) if path.is_file())


def _file(path: str) -> bytes:
    """Return the content of a file. Raises `RefusedError` when it was removed since the folder was looked through."""
    try:
        return Path(path).read_bytes()
    except FileNotFoundError as error:
        gone = Refusal(RefusalCode.SOURCE_DELETED, f"{Path(path).name} was removed before it was read")
        raise RefusedError(gone) from error
    except OSError as error:
        raise ApplianceError(f"{path}: cannot be read: {error.strerror}; check the file's permissions") from error


@contextmanager
def detector_at_hand(settings: Settings, say: Callable[[str], None]) -> Iterator[TritonDetector]:
    """Yield a detector on the Triton of the settings; start that Triton when none is there, and stop it again."""
    triton = settings.triton
    if _listens(triton.host, triton.grpc_port):
        detector = patiently(lambda: TritonDetector(triton), say)
        try:
            yield detector
        finally:
            detector.close()
        return
    say(f"no Triton answers on {triton.host}:{triton.grpc_port}: starting one")
    with TritonServer(triton, settings.state_dir):
        detector = TritonDetector(triton)
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

    The service retries for ever; here a person is waiting, so after the last pause the error is raised.
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
        "lesions": facts.get("lesions", []),
        "series": {key: facts["series"][key] for key in ("uid", "description", "slices")} if facts else None,
        "refusals": plain(every_refusal),
        "timing_ms": {**timing, "total": sum(timing.values())},
        "model": model,
    }


def write_answer(out: Path, answer: Answer | None, document: dict[str, Any], say: Callable[[str], None]) -> list[Path]:
    """Write `result.json`, the result objects as `*.dcm` and the key images as PNG too; return what was written.

    Where a key image cannot be drawn the answer is written without it, as the service stores it, and `say` is told. The
    objects of an answer that was written there before are removed: they must not stand beside another answer.
    """
    # All is made before anything is removed: a fault must not leave the folder with half an answer.
    results = answer.results if isinstance(answer, ReadAnswer) else None
    named: list[tuple[str, pydicom.Dataset]] = []
    pictures: list[tuple[str, bytes]] = []
    try:
        for object_named in results.named_datasets() if results else ():
            named.append(object_named)
        pictures = results.key_image_pngs() if results else []
    except DrawingError as error:  # SEG and SR are there by now
        say(f"{error}: the answer is written without all its key images")
    for missing, why in results.unmade.items() if results else ():
        say(f"{missing} could not be made ({why}): the answer is written without it")
    out.mkdir(parents=True, exist_ok=True)
    for kind in (type_.kind for type_ in RESULT_TYPES):
        for extension in _EXTENSIONS:
            for older in out.glob(f"{kind.name}-[0-9]*.{extension}" if kind.several else f"{kind.name}.{extension}"):
                older.unlink()
    written = [out / "result.json"]
    written[0].write_text(json.dumps(document, indent=2) + "\n")
    for name, dataset in named:
        written.append(out / f"{name}.dcm")
        pydicom.dcmwrite(written[-1], dataset, enforce_file_format=True)
    for name, picture in pictures:
        written.append(out / f"{name}.png")
        written[-1].write_bytes(picture)
    return written
