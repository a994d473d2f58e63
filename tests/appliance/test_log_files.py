# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

from appliance.log_files import KEPT, older, set_aside


def test_older_logs_are_kept_in_their_order_and_no_more_than_so_many(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    for number in range(KEPT + 3):
        set_aside(log)
        log.write_text(f"{number}")
    assert [older(log, number).read_text() for number in range(1, KEPT + 1)] == ["6", "5", "4", "3", "2"]
    assert len(list(tmp_path.iterdir())) == KEPT + 1
