# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What every test finds alike, whichever tests ran before it in the same process."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.longest_first import place_of

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # ONNX Runtime's wheels send usage to Microsoft unless they are told not to

# OpenMP's threads spin while they wait for each other. With one for each core in each of several test processes they
# mostly wait for a core: two tests of the audit took eight times the CPU.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# pytest-xdist says that its processes have a terminal of 80 columns, and tables are drawn for what is said first.
for name in ("COLUMNS", "LINES"):
    os.environ.pop(name, None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest."""
    items.sort(key=lambda item: place_of(item.path))


_UMASK = os.umask(0o022)
os.umask(_UMASK)


@pytest.fixture(autouse=True)
def _umask_as_at_the_start() -> Iterator[None]:
    """Give back the umask that a command of the appliance has set in this process, in a test or a shared fixture."""
    os.umask(_UMASK)
    yield
    os.umask(_UMASK)
