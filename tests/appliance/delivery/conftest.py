# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.appliance.delivery.receivers import Listener, MailServer
from tests.appliance.delivery.site import Site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two real Orthancs."""
    with Site(tmp_path_factory.mktemp("site")).running() as running:
        yield running


@pytest.fixture
def listener() -> Iterator[Listener]:
    opened = Listener()
    opened.open()
    yield opened
    opened.close()


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    with MailServer().opened() as opened:
        yield opened
