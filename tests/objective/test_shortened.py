# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Proves that the rules of a recorded run are the shipped ones, only faster."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.objective.shortened import shorten
from tests.objective.watching import SHIPPED

RULES = (SHIPPED / "rules/hemorrhage.rules.yml").read_text()


@pytest.mark.parametrize(
    ("shipped", "here"),
    [
        ("rate(late[1h]) > 14.4 * 0.01", "rate(late[300000ms]) > 14.4 * 0.01"),
        ('bucket{le="60.0"}[5m]', 'bucket{le="60.0"}[25000ms]'),
        ("[1d] offset 1d", "[7200000ms] offset 7200000ms"),
        ("  for: 2m", "  for: 10000ms"),
        ("scrape_interval: 15s", "scrape_interval: 1250ms"),
        ("group_wait: 15s", "group_wait: 1250ms"),
        ("record: hemorrhage:late:ratio_rate5m", "record: hemorrhage:late:ratio_rate5m"),
        ('"of the last hour took over 60 s"', '"of the last hour took over 60 s"'),
    ],
)
def test_spans_of_time_are_divided_and_bounds_stay(shipped: str, here: str) -> None:
    assert shorten(shipped, 12) == here


def test_nothing_of_the_shipped_rules_is_left_long() -> None:
    left = re.findall(r"(?:\[|for: |offset )\d+[smhd]\b", shorten(RULES, 12))
    assert left == []
    assert len(re.findall(r"\d+ms", shorten(RULES, 12))) == len(re.findall(r"(?:\[|for: |offset )\d+[smhd]\b", RULES))


def test_prometheus_takes_the_shortened_rules(tmp_path: Path) -> None:
    file = tmp_path / "shortened.rules.yml"
    file.write_text(shorten(RULES, 12))
    done = subprocess.run(["promtool", "check", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
