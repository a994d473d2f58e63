# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.models.shelf import Shelf, ShelfError
from appliance.reading import contract
from appliance.sections.triton import TritonSettings
from appliance.settings import Settings
from tests.appliance.inference.blob_detector import write_repository
from tests.appliance.models.released import write_release


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    write_repository(tmp_path / "shipped", parameters={contract.PARAMETER_MODEL_VERSION: "1"})
    return Settings(state_dir=tmp_path / "state", triton=TritonSettings(model_repository=tmp_path / "shipped"))


def test_a_version_that_is_brought_in_becomes_a_model_of_its_own_beside_the_shipped_one(
    settings: Settings, tmp_path: Path
) -> None:
    shelf = Shelf(settings)
    brought = shelf.bring_in(write_release(tmp_path / "release", 2))
    assert brought.facts.served_as == "hemorrhage_detector_2"
    assert brought.place == settings.state_dir / "models" / "hemorrhage_detector_2" / "2"
    config = (brought.folder / "configs" / "cpu.pbtxt").read_text()
    assert 'name: "hemorrhage_detector_2"' in config
    assert "versions: 2" in config
    assert [(one.facts.version, one.shipped) for one in shelf.versions()] == [("1", True), ("2", False)]
    assert shelf.version("2") == shelf.version("hemorrhage_detector_2") == brought


def test_the_folder_of_the_detector_itself_is_taken_too_and_bringing_it_twice_changes_nothing(
    settings: Settings, tmp_path: Path
) -> None:
    shelf = Shelf(settings)
    release = write_release(tmp_path / "release", 2)
    first = shelf.bring_in(release / contract.DETECTOR)
    made = first.place.stat().st_mtime_ns
    assert shelf.bring_in(release) == first
    assert first.place.stat().st_mtime_ns == made


def test_versions_stand_by_number_not_by_name(settings: Settings, tmp_path: Path) -> None:
    shelf = Shelf(settings)
    for version in (10, 2):
        shelf.bring_in(write_release(tmp_path / f"release-{version}", version))
    assert [one.facts.version for one in shelf.versions()] == ["1", "2", "10"]


def _damage(folder: Path) -> None:
    (folder / contract.DETECTOR / "2" / "model.onnx").write_bytes(b"half of it")


def _misnumber(folder: Path) -> None:
    (folder / contract.DETECTOR / "2").rename(folder / contract.DETECTOR / "3")


def _drop_configuration(folder: Path) -> None:
    (folder / contract.DETECTOR / "configs" / "cpu.pbtxt").unlink()


def _garble_configuration(folder: Path) -> None:
    (folder / contract.DETECTOR / "configs" / "cpu.pbtxt").write_text("not: [ a configuration")


def _add_a_second(folder: Path) -> None:
    (folder / contract.DETECTOR / "3").mkdir()


def _drop_model(folder: Path) -> None:
    (folder / contract.DETECTOR / "2" / "model.onnx").unlink()


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (_damage, "damaged"),
        (_misnumber, "says that it is version 2 and lies in folder 3"),
        (_drop_configuration, "cannot be read"),
        (_garble_configuration, "is no configuration of Triton"),
        (_add_a_second, "one version folder is wanted, and there are: 2, 3"),
        (_drop_model, "cannot be read"),
    ],
)
def test_what_is_no_sound_version_is_refused_with_the_reason_and_nothing_is_brought_in(
    settings: Settings, tmp_path: Path, spoil: Callable[[Path], None], why: str
) -> None:
    release = write_release(tmp_path / "release", 2)
    spoil(release)
    shelf = Shelf(settings)
    with pytest.raises(ShelfError, match=why):
        shelf.bring_in(release)
    assert [one.facts.version for one in shelf.versions()] == ["1"]


def test_another_model_under_a_number_that_is_taken_is_refused(settings: Settings, tmp_path: Path) -> None:
    shelf = Shelf(settings)
    with pytest.raises(ShelfError, match="another model is version 1 here"):
        shelf.bring_in(write_release(tmp_path / "release", 1))


@pytest.mark.parametrize("lost", ["1/model.onnx", "configs/cpu.pbtxt"])
def test_the_number_of_a_shipped_version_that_cannot_be_read_is_not_taken(
    settings: Settings, tmp_path: Path, lost: str
) -> None:
    shipped = settings.triton.model_repository / contract.DETECTOR
    shutil.copy(shipped / "configs" / "cpu.pbtxt", shipped / "configs" / "gpu.pbtxt")
    (shipped / lost).unlink()
    shelf = Shelf(settings)
    with pytest.raises(ShelfError, match=r"version 1 may be the shipped one: .*; it came with the appliance"):
        shelf.bring_in(write_release(tmp_path / "release-1", 1))
    assert shelf.bring_in(write_release(tmp_path / "release-2", 2)).facts.version == "2"


def test_nothing_is_brought_in_while_the_number_of_the_shipped_version_is_not_known(
    settings: Settings, tmp_path: Path
) -> None:
    shutil.rmtree(settings.triton.model_repository)
    with pytest.raises(ShelfError, match="version 2 may be the shipped one"):
        Shelf(settings).bring_in(write_release(tmp_path / "release", 2))


def test_a_copy_that_was_broken_off_is_no_version_and_hinders_none(settings: Settings, tmp_path: Path) -> None:
    left = settings.state_dir / "models" / ".coming" / "2"
    left.mkdir(parents=True)
    (left / "model.onnx").write_bytes(b"half of it")
    shelf = Shelf(settings)
    assert [one.facts.version for one in shelf.versions()] == ["1"]
    assert shelf.bring_in(write_release(tmp_path / "release", 2)).facts.version == "2"


def test_a_folder_that_cannot_be_read_is_told_apart_and_hides_no_other_version(
    settings: Settings, tmp_path: Path
) -> None:
    shelf = Shelf(settings)
    for version in (2, 7):
        shelf.bring_in(write_release(tmp_path / f"release-{version}", version))
    broken = settings.state_dir / "models" / "hemorrhage_detector_7"
    (broken / "7" / "model.onnx").write_bytes(b"half of it")
    shutil.copytree(broken.with_name("hemorrhage_detector_2"), broken.with_name("hemorrhage_detector_9"))
    versions, unreadable = shelf.look()
    assert [one.facts.version for one in versions] == ["1", "2"]
    assert [(one.facts.version, one.folder) for one in unreadable] == [
        ("7", broken),
        ("9", broken.with_name("hemorrhage_detector_9")),
    ]
    assert "damaged" in unreadable[0].fault
    assert "holds version 2" in unreadable[1].fault
    assert shelf.version("2").facts.version == "2"
    with pytest.raises(ShelfError, match=r"damaged.*`appliance models remove 7` removes it"):
        shelf.version("7")


def test_a_shipped_version_that_is_gone_is_told_and_does_not_hide_those_of_the_site(
    settings: Settings, tmp_path: Path
) -> None:
    shelf = Shelf(settings)
    shelf.bring_in(write_release(tmp_path / "release", 2))
    shutil.rmtree(settings.triton.model_repository)
    versions, (shipped,) = shelf.look()
    assert [one.facts.version for one in versions] == ["2"]
    assert shipped.shipped
    with pytest.raises(ShelfError, match="it came with the appliance"):
        shelf.version("hemorrhage_detector")


def test_a_sound_copy_takes_the_place_of_a_folder_that_cannot_be_read(settings: Settings, tmp_path: Path) -> None:
    shelf = Shelf(settings)
    release = write_release(tmp_path / "release", 2)
    first = shelf.bring_in(release)
    (first.place / "model.onnx").write_bytes(b"half of it")
    (first.place / "left over").touch()
    assert shelf.bring_in(release) == first
    assert not (first.place / "left over").exists()
    assert sorted(path.name for path in first.folder.parent.iterdir()) == [".lock", "hemorrhage_detector_2"]


def test_a_folder_whose_removal_cannot_be_recorded_stays(settings: Settings, tmp_path: Path) -> None:
    shelf = Shelf(settings)
    brought = shelf.bring_in(write_release(tmp_path / "release", 2))
    with pytest.raises(RuntimeError), shelf.removing(brought):
        raise RuntimeError("the ledger is away")
    assert shelf.version("2") == brought
    with shelf.removing(brought):
        pass
    assert [path.name for path in brought.folder.parent.iterdir()] == [".lock"]


def test_a_version_that_is_not_there_is_named_with_those_that_are(settings: Settings) -> None:
    with pytest.raises(ShelfError, match="version 7 is not there; there are: 1"):
        Shelf(settings).version("7")
