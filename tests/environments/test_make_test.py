# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What `make test` says and ends with, with programs in place of the environments' that end as a test likes."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = {
    "test-service": (".venv", "development"),
    "test-training": (".venv-training", "training"),
    "test-engines": (".venv-engines", "engines"),
}


def make_test(checkout: Path, failing: str = "") -> subprocess.CompletedProcess[str]:
    """Run `make test` where each part's Python says its name in two lines, and one of them fails."""
    shutil.copytree(ROOT / "environments", checkout / "environments")
    shutil.copy(ROOT / "Makefile", checkout)
    (checkout / "deploy").mkdir()
    (checkout / "deploy" / "install-system-packages.sh").write_text('sleep 0.3; echo "packages $1"\n')
    for name, (folder, lock) in {**PARTS, "triton": (".venv-triton", "triton")}.items():
        digest = hashlib.sha256((checkout / "environments" / f"{lock}.lock").read_bytes()).hexdigest()
        python = checkout / folder / "bin" / "python"
        python.parent.mkdir(parents=True)
        wait = "sleep 1" if name == "test-service" else ":"
        python.write_text(f"#!/bin/sh\necho begin {name}; {wait}; echo end {name}; exit {int(name == failing)}\n")
        python.chmod(0o755)
        (checkout / folder / f".installed-{digest[:12]}").touch()
    alone = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return subprocess.run(["make", "test"], cwd=checkout, env=alone, capture_output=True, text=True, check=False)


def test_the_last_lines_say_which_part_passed(tmp_path: Path) -> None:
    ended = make_test(tmp_path / "checkout")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-3:] == [f"{part} passed" for part in PARTS]


@pytest.mark.parametrize("failing", PARTS)
def test_a_part_that_fails_is_named_at_the_end_and_fails_the_whole(tmp_path: Path, failing: str) -> None:
    ended = make_test(tmp_path / "checkout", failing)
    assert ended.returncode != 0
    assert ended.stdout.splitlines()[-3:] == [f"{part} {'FAILED' if part == failing else 'passed'}" for part in PARTS]
    lines = [line for line in ended.stdout.splitlines() if line.startswith(("begin", "end"))]
    assert lines == [f"{when} {part}" for part in PARTS for when in ("begin", "end")]


def test_debians_packages_are_there_before_any_test_begins(tmp_path: Path) -> None:
    lines = make_test(tmp_path / "checkout").stdout.splitlines()
    assert lines.index("packages tests") < min(number for number, line in enumerate(lines) if line.startswith("begin"))
