# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder of a test's own with a short name: the name of Supervisor's socket may have 98 characters."""
    folder = Path(tempfile.mkdtemp(prefix="deploy-")).resolve()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
