# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""docs/delivery.md: its examples are right, and it names every variable, every kind and every setting there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from appliance.delivery.variables import VARIABLES, Kind
from appliance.sections.delivery import KINDS, DeliverySettings
from appliance.settings_sources import load_settings

PAGE = (Path(__file__).parents[3] / "docs" / "delivery.md").read_text()
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_right_as_it_stands(example: str, tmp_path: Path) -> None:
    file = tmp_path / "appliance.toml"
    file.write_text(example)
    assert load_settings(file).rules


def test_every_variable_is_listed_with_its_type_and_meaning_and_no_other() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([a-z(), ]+) \| (.*) \|$", PAGE, re.MULTILINE)
    assert [row for row in rows if row[1] in {kind.value for kind in Kind}] == [
        (one.name, one.kind.value, one.meaning) for one in VARIABLES
    ]


def test_every_kind_of_destination_and_every_setting_is_named() -> None:
    for kind, section in KINDS.items():
        (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{kind}` | ") and line.count("|") == 5]
        for name in section.model_fields:
            assert f"`{name}`" in row or name in ("kind", "timeout_s"), (kind, name)
    for name in DeliverySettings.model_fields:
        assert name in PAGE, name
