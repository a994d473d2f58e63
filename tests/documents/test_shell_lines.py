# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The reader of shell blocks sees every program that a person who pastes the block would start."""

from __future__ import annotations

import pytest

from tests.documents.shell_lines import commands


def seen(text: str) -> list[str]:
    return [str(command) for command in commands(text)]


def test_comments_joined_lines_pipes_and_redirections_are_told_apart() -> None:
    block = "a one  # why\nb \\\n  two >file && c 'x # y' | d 2>/dev/null; e\n"
    assert seen(block) == ["a one", "b two", "c 'x # y'", "d 2", "e"]


def test_assignments_loops_and_another_user_do_not_hide_the_program() -> None:
    assert seen("A=1 B=2 run x\nc=d\nrunuser -u somebody -- run y\n") == ["run x", "run y"]
    assert seen("for i in 1 2; do\n    run $i\ndone\n") == ["run '$i'"]


def test_what_a_program_is_fed_is_not_taken_for_commands() -> None:
    (one,) = commands("python - <<'PY'\nimport os\nprint(1)\nPY\n")
    assert (one.program, one.arguments, one.fed) == ("python", ("-",), "import os\nprint(1)")


def test_a_quotation_over_several_lines_is_one_word() -> None:
    (one,) = commands("awk '{ a\n b }' file\n")
    assert one.arguments == ("{ a\n b }", "file")
    with pytest.raises(ValueError, match="without its end"):
        commands("echo 'never closed\n")
