# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.settings import Settings
from tests.appliance.intake.desk import Desk


@pytest.fixture
def desk(settings: Settings, tmp_path: Path) -> Iterator[Desk]:
    """An intake that has just had its first start."""
    made = Desk(settings, tmp_path / "ledger.sqlite")
    made.take_in()
    yield made
    made.close()
