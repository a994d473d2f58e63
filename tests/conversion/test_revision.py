# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Which edits of code make readings of another code of those that were kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from conversion import precision_command
from conversion.precision_command import Readings
from conversion.revision import code_revision
from conversion.triton_model import REFERENCE

CODE = (
    '"""A module."""\n\nLIMIT = 3\n"""How many."""\n\n\n'
    'def grow(by: int = 1) -> int:\n    """Grow."""\n    return LIMIT + by\n'
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "grow.py"
    path.write_text(CODE)
    return path


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""A module."""\n\n', ""),
        ('"""How many."""', '"""How many there are at most."""'),
        ('    """Grow."""\n', "    # Grows.\n"),
        ("LIMIT + by", "(\n        LIMIT\n        + by\n    )"),
    ],
)
def test_words_and_line_breaks_change_nothing(file: Path, old: str, new: str) -> None:
    before = code_revision([file], file.parent)
    file.write_text(CODE.replace(old, new))
    assert file.read_text() != CODE
    assert code_revision([file], file.parent) == before


@pytest.mark.parametrize(
    ("old", "new"), [("LIMIT = 3", "LIMIT = 4"), ("by: int = 1", "by: int = 2"), ("LIMIT + by", "LIMIT - by")]
)
def test_what_is_computed_otherwise_is_other_code(file: Path, old: str, new: str) -> None:
    before = code_revision([file], file.parent)
    file.write_text(CODE.replace(old, new))
    assert code_revision([file], file.parent) != before


def test_a_file_with_another_name_and_one_more_are_other_code(file: Path) -> None:
    before = code_revision([file], file.parent)
    (file.parent / "more.py").write_text("")
    assert code_revision([file, file.parent / "more.py"], file.parent) != before
    assert code_revision([file.rename(file.parent / "other.py")], file.parent) != before


def test_readings_stay_where_a_docstring_of_the_reading_code_was_edited_and_go_where_the_code_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = tmp_path / "appliance/reading"
    reading.mkdir(parents=True)
    (reading / "grow.py").write_text(CODE)
    monkeypatch.setattr(precision_command, "ROOT", tmp_path)
    monkeypatch.setattr(precision_command, "_READING_CODE", ())
    (tmp_path / "model.onnx").write_bytes(b"a model")

    def folders() -> int:
        Readings(tmp_path / "readings", REFERENCE, tmp_path / "model.onnx", 0.5)
        return len(list((tmp_path / "readings").iterdir()))

    assert folders() == 1
    (reading / "grow.py").write_text(CODE.replace("How many", "How many there are at most"))
    assert folders() == 1
    (reading / "grow.py").write_text(CODE.replace("LIMIT + by", "LIMIT - by"))
    assert folders() == 2
