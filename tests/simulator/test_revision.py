# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Which simulator the files of a folder come from."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import pytest

from simulator import revision as module
from simulator.revision import claim, simulator_revision, stated_simulator


def test_another_version_of_a_package_is_another_simulator(monkeypatch: pytest.MonkeyPatch) -> None:
    before = simulator_revision()
    monkeypatch.setattr(module, "version", lambda package: "0" if package == "scipy" else version(package))
    assert simulator_revision() != before


def test_a_measure_that_changed_is_another_simulator_revision() -> None:
    assert simulator_revision() != simulator_revision([Path(module.__file__).parent / "audit" / "physics.py"])
    assert simulator_revision() == simulator_revision()


def test_another_habit_of_a_vendor_is_another_simulator(monkeypatch: pytest.MonkeyPatch) -> None:
    before = simulator_revision()
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read(path) + (b"#" if path.name == "vendors.toml" else b""))
    assert simulator_revision() != before


def test_a_folder_says_what_its_files_are_made_with_and_takes_no_others(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "heads"
    claim(folder, "made_with.json", "heads", simulator="one", matrix=512)
    assert json.loads((folder / "made_with.json").read_text()) == {"simulator": "one", "matrix": 512}
    claim(folder, "made_with.json", "heads", simulator="one", matrix=512)
    assert stated_simulator(folder, "made_with.json") == "one"
    assert stated_simulator(tmp_path, "made_with.json") is None
    (folder / "sah-5.json").touch()
    with pytest.raises(ValueError, match="holds heads of another simulator and matrix: remove it"):
        claim(folder, "made_with.json", "heads", simulator="two", matrix=256)


def test_files_that_do_not_say_where_they_come_from_are_refused(tmp_path: Path) -> None:
    (tmp_path / "sah-5.json").touch()
    with pytest.raises(ValueError, match="do not say of which simulator"):
        claim(tmp_path, "made_with.json", "heads", simulator="one")


def test_a_folder_that_holds_nothing_yet_takes_files_of_a_new_simulator(tmp_path: Path) -> None:
    claim(tmp_path, "made_with.json", "heads", simulator="one")
    claim(tmp_path, "made_with.json", "heads", simulator="two")
    assert stated_simulator(tmp_path, "made_with.json") == "two"


@pytest.mark.parametrize("broken", ["", "{", "5"])
def test_a_statement_that_cannot_be_read_is_named(tmp_path: Path, broken: str) -> None:
    (tmp_path / "made_with.json").write_text(broken)
    with pytest.raises(ValueError, match=r"made_with.json cannot be read"):
        claim(tmp_path, "made_with.json", "heads", simulator="one")


def test_a_statement_without_a_simulator_names_none(tmp_path: Path) -> None:
    (tmp_path / "made_with.json").write_text("{}")
    assert stated_simulator(tmp_path, "made_with.json") is None
