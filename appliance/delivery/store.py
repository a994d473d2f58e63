# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Stores the results of an answer in Orthanc, beside their source.

The results' UIDs follow from the answer, so storing them again (after a service was killed in the middle) changes
nothing: Orthanc answers AlreadyStored.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Sequence
from contextlib import suppress

from pydicom import Dataset, dcmread, dcmwrite

from appliance.errors import UnavailableError
from appliance.ledger.records import ResultObject
from appliance.orthanc import Orthanc
from appliance.orthanc_errors import FilteredOutError, NotThereError
from appliance.orthanc_records import StoreStatus


def orthanc_ids(dataset: Dataset) -> tuple[str, str]:
    """Return the identifiers that Orthanc gives to a dataset's instance and to its series.

    Orthanc's identifiers are SHA-1 sums over the DICOM identifiers from the patient downwards, so they are known
    before the dataset is stored.
    """
    path = [str(dataset.get("PatientID", "") or "").rstrip(" "), str(dataset.StudyInstanceUID)]
    path.append(str(dataset.SeriesInstanceUID))
    series = _orthanc_id(path)
    return _orthanc_id([*path, str(dataset.SOPInstanceUID)]), series


def _orthanc_id(path: Sequence[str]) -> str:
    digest = hashlib.sha1("|".join(path).encode(), usedforsecurity=False).hexdigest()
    return "-".join(digest[start : start + 8] for start in range(0, 40, 8))


def result_objects(named: Iterable[tuple[str, Dataset]]) -> list[ResultObject]:
    """Return the ledger's records of datasets to be stored, by kind."""
    return [ResultObject(*orthanc_ids(dataset), kind, str(dataset.SOPInstanceUID)) for kind, dataset in named]


def store(orthanc: Orthanc, dataset: Dataset) -> str:
    """Store a dataset and read it back; return Orthanc's identifier of the instance.

    An existing object that differs is deleted and stored again: it comes from an earlier try, or Orthanc holds half of
    it or nothing, for example after a full disk.

    Raises `UnavailableError` when Orthanc returns something else than it was given, or nothing.
    `orthanc.store_refusal`, on which the service's readiness depends, is told of it, and of what was stored.
    """
    file = io.BytesIO()
    dcmwrite(file, dataset, enforce_file_format=True)
    uid = str(dataset.SOPInstanceUID)
    size = len(file.getvalue())
    try:
        identifier, status = _store_whole(orthanc, file, dataset)
    except FilteredOutError as error:
        orthanc.store_refusal.note(uid, 0, str(error))
        raise
    except UnavailableError as error:  # on a full disk Orthanc may confirm a result and not give it back
        orthanc.store_refusal.note(uid, size, str(error))
        raise
    orthanc.store_refusal.note_stored(uid, size if status is StoreStatus.SUCCESS else 0)
    return identifier


def _store_whole(orthanc: Orthanc, file: io.BytesIO, dataset: Dataset) -> tuple[str, StoreStatus]:
    for _ in range(2):
        identifier, status = orthanc.store(file.getvalue())
        # 404: Orthanc confirmed it and keeps nothing, or has lost its file. If the source is gone too, which may be
        # why, the next try of the job finds that.
        with suppress(NotThereError):
            if _is_whole(orthanc.file(identifier), file.getvalue(), dataset):
                return identifier, status
        orthanc.delete_instance(identifier)
    raise UnavailableError("Orthanc did not keep the whole of a result; see the room on its disk and its log")


def _is_whole(held: bytes, sent: bytes, dataset: Dataset) -> bool:
    """Return whether the held object is the one that was sent, or the same one compressed by Orthanc."""
    if held == sent:
        return True
    try:
        read = dcmread(io.BytesIO(held))
        is_compressed = read.file_meta.TransferSyntaxUID != dataset.file_meta.TransferSyntaxUID
    except Exception:  # pydicom may raise nearly anything on half a file
        return False
    return is_compressed and set(dataset.keys()) <= set(read.keys())
