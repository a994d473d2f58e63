# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""docs/proofs.md names tests that exist, and each danger has one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "proofs.md").read_text()
NAMED = sorted(set(re.findall(r"`([a-z0-9_/]+\.py)::(test_[a-z0-9_]+)`", PAGE)))
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| danger")]


def test_each_danger_has_a_test() -> None:
    assert len(ROWS) > 40
    assert [row for row in ROWS if "::test_" not in row] == []


@pytest.mark.parametrize("file", sorted({file for file, _ in NAMED}))
def test_every_test_that_is_named_exists(file: str) -> None:
    tree = ast.parse((TESTS / file).read_text())
    there = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert {test for named, test in NAMED if named == file} - there == set()
