# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Which simulator the files of a folder come from."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import pytest

from training.simulator import revision as module
from training.simulator.revision import claim, revision, stated_simulator


def test_another_version_of_a_package_is_another_simulator(monkeypatch: pytest.MonkeyPatch) -> None:
    before = revision()
    monkeypatch.setattr(module, "version", lambda package: "0" if package == "scipy" else version(package))
    assert revision() != before


def test_a_measure_that_changed_is_another_revision() -> None:
    assert revision() != revision([Path(module.__file__).parent / "audit" / "physics.py"])
    assert revision() == revision()


def test_a_folder_says_what_its_files_are_made_with_and_takes_no_others(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "heads"
    claim(folder, "made_with.json", "heads", simulator="one", matrix=512)
    assert json.loads((folder / "made_with.json").read_text()) == {"simulator": "one", "matrix": 512}
    claim(folder, "made_with.json", "heads", simulator="one", matrix=512)
    assert stated_simulator(folder, "made_with.json") == "one"
    assert stated_simulator(tmp_path, "made_with.json") is None
    with pytest.raises(ValueError, match="holds heads of another simulator and matrix: remove it"):
        claim(folder, "made_with.json", "heads", simulator="two", matrix=256)


def test_files_that_do_not_say_where_they_come_from_are_refused(tmp_path: Path) -> None:
    (tmp_path / "sah-5.json").touch()
    with pytest.raises(ValueError, match="does not say of which simulator"):
        claim(tmp_path, "made_with.json", "heads", simulator="one")
