# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.appliance.web.site import Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """The web application over a ledger of its own."""
    made = Site(tmp_path)
    yield made
    made.ledger.close()
