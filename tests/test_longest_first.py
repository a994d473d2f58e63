# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from tests.longest_first import LONGEST_FIRST, ROOT, place_of


def test_every_long_file_is_there_and_named_once() -> None:
    assert [name for name in LONGEST_FIRST if not (ROOT / name).is_file()] == []
    assert len(set(LONGEST_FIRST)) == len(LONGEST_FIRST)


def test_long_files_come_first_and_the_others_as_they_were_collected() -> None:
    longest, second = (ROOT / name for name in LONGEST_FIRST[:2])
    short, other = ROOT / "tests/b.py", ROOT / "tests/a.py"
    assert sorted([short, second, other, longest], key=place_of) == [longest, second, short, other]
