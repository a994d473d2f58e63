# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.accuracy.record import read, write
from tests.benchmarks.accuracy.made_records import record


def test_a_record_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    made = record(7, "sah", 0.95, 3.0, population="new bleeds")
    write(made, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["sah-7-new_bleeds-as_drawn.json"]
    assert read(tmp_path / f"{made.name}.json") == made


def test_a_broken_record_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"seed": 1')
    with pytest.raises(ValueError, match=r"x\.json holds no record"):
        read(tmp_path / "x.json")
