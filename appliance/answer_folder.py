# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A folder that the answer about a study is written to as files; of its other files only an earlier answer is touched.

The folder is the user's, and may be the study's own. A file is ours when it says so itself: a DICOM object by the
implementation that wrote it and its UID, a picture by the UID of its key image, `result.json` by its keys. Everything
is written under other names first and then renamed, so that a fault leaves what was there.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from PIL import Image, UnidentifiedImageError
from pydicom import dcmread

from appliance.errors import ApplianceError
from appliance.results.heading import IMPLEMENTATION_UID, MODEL_NAME
from appliance.results.identity import OWN_UID_ROOT
from appliance.results.report import RESULT_TYPES

RESULT: Final = "result.json"
_RESULT_KEYS: Final = {"present", "probability", "lesions", "refusals", "timing_ms", "model"}
"""Keys that every version's `result.json` has, whatever else stands in it."""

_LARGEST_RESULT: Final = 64 * 2**20
_NAMES: Final = re.compile(
    "|".join(
        rf"{re.escape(kind.name)}-[0-9]+\.(dcm|png)" if kind.several else rf"{re.escape(kind.name)}\.(dcm|png)"
        for kind in (type_.kind for type_ in RESULT_TYPES)
    )
)


class AnswerFolder:
    """The folder that `--out` names; it need not exist yet."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def require_usable(self) -> None:
        """Raise `ApplianceError` when an answer could not be written; makes and changes nothing."""
        with self._faults("cannot be written to"):
            nearest = next(path for path in (self.path.absolute(), *self.path.absolute().parents) if path.exists())
            if not nearest.is_dir():
                raise ApplianceError(f"--out {self.path} cannot be made: {nearest} is a file")
            if not os.access(nearest, os.W_OK | os.X_OK, effective_ids=True):
                raise ApplianceError(f"--out {self.path} cannot be written to: this user has no right to {nearest}")
            if self.path.is_dir():
                self._answer_there()

    def write(self, files: Mapping[str, bytes]) -> list[Path]:
        """Write an answer in place of an earlier one; return the files, in the order of `files`.

        `result.json` is removed first and written last: while it is missing the answer is incomplete.

        Raises `ApplianceError` when the answer cannot be written, and when a file that is not ours has one of its
        names; then nothing has changed.
        """
        with self._faults("cannot be made"):
            self.path.mkdir(parents=True, exist_ok=True)
        with self._faults("cannot be written to"):
            earlier = self._answer_there()
            aside = {name: self.path / f".{name}.{os.getpid()}.new" for name in files}
            try:
                for name, content in files.items():
                    with aside[name].open("xb") as file:
                        file.write(content)
                        file.flush()
                        os.fsync(file.fileno())
                (self.path / RESULT).unlink(missing_ok=True)
                for name in sorted(files, key=lambda name: name == RESULT):
                    if name == RESULT:
                        for path in earlier:
                            if path.name not in files:
                                path.unlink(missing_ok=True)
                    aside[name].replace(self.path / name)
            finally:
                for path in aside.values():
                    with suppress(OSError):
                        path.unlink(missing_ok=True)
        return [self.path / name for name in files]

    def _answer_there(self) -> list[Path]:
        """Return the files of an earlier answer. Raises `ApplianceError` when another file has one of our names."""
        earlier = [path for path in self.path.iterdir() if path.name == RESULT or _NAMES.fullmatch(path.name)]
        foreign = sorted(path.name for path in earlier if not is_own(path))
        if foreign:
            raise ApplianceError(
                f"--out {self.path} holds {', '.join(foreign)}, which this appliance did not write: nothing was "
                "touched; name another folder"
            )
        return earlier

    @contextmanager
    def _faults(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ApplianceError(f"--out {self.path} {what}: {error.strerror or type(error).__name__}") from error


def is_own(path: Path) -> bool:
    """Return whether the appliance wrote this file as part of an answer. Raises `OSError`."""
    if not path.is_file():
        return False
    if path.name == RESULT:
        return _is_result(path)
    return _is_picture(path) if path.suffix == ".png" else _is_object(path)


def _is_result(path: Path) -> bool:
    if path.stat().st_size > _LARGEST_RESULT:
        return False
    try:
        document: Any = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and set(document) >= _RESULT_KEYS


def _is_object(path: Path) -> bool:
    try:
        header = dcmread(path, stop_before_pixels=True, specific_tags=["SOPInstanceUID"])
        implementation = str(header.file_meta.get("ImplementationClassUID", ""))
        uid = str(header.get("SOPInstanceUID", ""))
    except OSError:
        raise
    except Exception:  # whatever a parser raises: the file is not ours
        return False
    return implementation == IMPLEMENTATION_UID and uid.startswith(OWN_UID_ROOT)


def _is_picture(path: Path) -> bool:
    try:
        with Image.open(path) as picture:
            said = picture.info
    except (UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False
    return said.get("Software") == MODEL_NAME and str(said.get("SOPInstanceUID")).startswith(OWN_UID_ROOT)
