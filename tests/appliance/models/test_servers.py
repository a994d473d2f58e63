# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Versions of the small detector on two real Tritons, the second of which stands in for the first."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from appliance.cli import app
from appliance.doctor.model import check_others
from appliance.models.life import ModelLifeError
from appliance.models.priority import give_way_on_the_processor, gives_way
from deploy.local.settings_file import write_settings
from tests.appliance.models.pair import Pair
from tests.appliance.models.released import write_release
from tests.appliance.running import until

SHIPPED, SECOND = "hemorrhage_detector", "hemorrhage_detector_2"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    opened = Pair(tmp_path)
    yield opened
    opened.close()


def test_a_version_is_loaded_proven_and_freed_on_both_tritons_and_the_list_shows_each(
    pair: Pair, tmp_path: Path
) -> None:
    pair.spare.start()
    pair.bring(2)
    pair.bring_to_spare(2)
    pair.promote(2)
    assert pair.loaded() == [{SHIPPED, SECOND}] * 2
    assert "did not answer" not in pair.ledger.models.list_promoted()[0].note
    file = write_settings(pair.settings, tmp_path / "appliance.toml")
    listed = json.loads(CliRunner().invoke(app, ["models", "list", "--json", "--settings", str(file)]).stdout)
    assert listed["tritons"] == [
        {"address": address, "answers": True, "loaded": ["1", "2"]} for address in pair.addresses
    ]
    pair.life.rollback()
    pair.life.unload(pair.life.shelf.version("2"))
    until(lambda: pair.loaded() == [{SHIPPED}] * 2, "unloaded")
    pair.server.stop()
    assert pair.answering() == "1"


def test_a_shadow_that_is_promoted_gives_way_on_no_triton(pair: Pair) -> None:
    pair.spare.start()
    pair.bring(2)
    pair.bring_to_spare(2)
    pair.life.shadow(pair.life.shelf.version("2"))
    give_way_on_the_processor(pair.life.servers[1].processes(SECOND))
    assert gives_way(pair.life.servers[1].processes(SECOND))
    pair.promote(2)
    for server in pair.life.servers:
        assert server.processes(SECOND)
        assert not gives_way(server.processes(SECOND))
    assert pair.loaded() == [{SHIPPED, SECOND}] * 2


def test_a_version_that_one_triton_lacks_takes_over_on_neither(pair: Pair) -> None:
    pair.spare.start()
    pair.bring(2)
    with pytest.raises(ModelLifeError, match=pair.addresses[1]):
        pair.promote(2)
    until(lambda: pair.loaded() == [{SHIPPED}] * 2, "unloaded")
    assert pair.answering() == "1"


def test_a_triton_that_is_away_at_a_promotion_is_named_and_gets_the_version_before_it_answers(
    pair: Pair, tmp_path: Path
) -> None:
    release = write_release(tmp_path / "release", 2)
    file = write_settings(pair.settings, tmp_path / "appliance.toml")

    def models(*arguments: str) -> str:
        done = CliRunner().invoke(app, ["models", *arguments, "--settings", str(file)], env={"COLUMNS": "200"})
        assert done.exit_code == 0, done.output
        return done.output

    models("load", str(release))
    told = models("promote", "2")
    assert f"Triton at {pair.addresses[1]} does not answer; it loads the version when it is back" in told
    assert f"not yet on {pair.addresses[1]}" in pair.ledger.models.list_promoted()[0].note
    assert f"Triton at {pair.addresses[1]} does not answer" in models("list")
    (check,) = check_others(pair.settings)
    assert (check.name, check.state) == (f"triton {pair.addresses[1]}", "warn")
    pair.bring_to_spare(2)
    pair.spare.start()
    assert pair.loaded()[1] == {SHIPPED}
    pair.server.stop()
    assert pair.answering() == "2"
    assert pair.loaded() == [None, {SHIPPED, SECOND}]
    (check,) = check_others(pair.settings)
    assert check.state == "ok"


def test_the_doctor_says_that_another_triton_would_answer_with_an_earlier_version(pair: Pair) -> None:
    pair.bring(2)
    pair.promote(2)
    pair.spare.start()
    (check,) = check_others(pair.settings)
    assert check.state == "warn"
    assert "version 1 would answer" in check.what
