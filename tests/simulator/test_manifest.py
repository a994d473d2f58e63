# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Manifests: read back as written, and refused with the line that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.diagnosis import Diagnosis
from simulator.manifest import Entry, read, write

ENTRIES = (
    Entry(3, Diagnosis.IPH, 12.5, "realistic"),
    Entry(3, Diagnosis.NONE, None, "realistic"),
    Entry(4, Diagnosis.SAH, None, "training"),
)


def test_a_manifest_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    write(ENTRIES, tmp_path / "mine.csv")
    assert read(tmp_path / "mine.csv") == ENTRIES


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("x,iph,,training", "line 3: invalid literal"),
        ("5,tumour,,training", "line 3: 'tumour'"),
        ("5,none,3,training", "line 3: none of 3"),
        ("5,iph,0,training", "line 3: iph of 0"),
        ("5,iph,,somewhere", "line 3: population is one of training"),
        ("-5,iph,,training", "line 3: a seed is 0 or more"),
        ("3,iph,7,training", "a seed once with each diagnosis"),
    ],
)
def test_a_line_that_is_no_study_is_refused_by_its_number(line: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.csv"
    path.write_text(f"seed,diagnosis,volume_ml,population\n3,iph,12,training\n{line}\n")
    with pytest.raises(ValueError, match=said):
        read(path)


def test_a_file_of_other_columns_is_no_manifest(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("diagnosis,seed\niph,3\n")
    with pytest.raises(ValueError, match="first line of a manifest is seed,diagnosis,volume_ml,population"):
        read(path)


def test_a_name_that_no_manifest_has_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match="neither a manifest file nor one of enriched, independent, validation"):
        read("dependent")
