# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MediaStorageDirectoryStorage, generate_uid

from appliance import analyze as folder_analysis
from appliance.analyze import folder_contents, patiently, result, write_answer
from appliance.errors import ApplianceError, UnavailableError
from appliance.imaging.instances import parse_instance
from appliance.pipeline import Answer, Pipeline, ReadAnswer, Study
from appliance.results import key_images
from appliance.settings import Settings
from tests.appliance.stand_in import StandInDetector, head_series


def answered(folder: Path) -> Answer:
    """The answer about a study that is written to `folder` and read from there."""
    folder.mkdir()
    uid = str(generate_uid())
    for number, file in enumerate(head_series(uid)):
        (folder / f"{number}.dcm").write_bytes(file)
    return Pipeline(Settings(), StandInDetector()).answer(folder_contents(folder).studies[uid])  # type: ignore[arg-type]


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that any user may look into, the folders above it too."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def as_nobody_reads(folder: Path) -> str:
    """Return the sentence with which a user without rights is told that the folder cannot be read."""
    user = os.geteuid()
    os.seteuid(65534 if user == 0 else user)
    try:
        with pytest.raises(ApplianceError) as raised:
            folder_contents(folder)
    finally:
        os.seteuid(user)
    return str(raised.value)


@pytest.mark.parametrize("closed", ["subfolder", "file"])
def test_a_part_of_a_study_that_cannot_be_read_lets_nothing_be_read(shared_folder: Path, closed: str) -> None:
    subfolder = shared_folder / "vertex"
    subfolder.mkdir()
    files = head_series(str(generate_uid()))
    for number, file in enumerate(files):
        (shared_folder / ("vertex" if number > 6 else ".") / f"{number}.dcm").write_bytes(file)
    assert len(next(iter(folder_contents(shared_folder).studies.values())).instances) == len(files)
    what = subfolder if closed == "subfolder" else subfolder / "9.dcm"
    what.chmod(0)
    said = as_nobody_reads(shared_folder)
    assert str(what) in said
    assert "Permission denied" in said


def test_linked_folders_are_read_once(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "elsewhere").mkdir()
    for number, file in enumerate(head_series(str(generate_uid()))):
        (tmp_path / ("elsewhere" if number > 6 else "study") / f"{number}.dcm").write_bytes(file)
    (tmp_path / "study" / "vertex").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "study")
    (study,) = folder_contents(tmp_path / "study").studies.values()
    assert len(study.instances) == 14


def test_a_damaged_dicom_file_may_be_a_slice_and_other_files_are_none(tmp_path: Path) -> None:
    files = head_series(str(generate_uid()))
    for number, file in enumerate(files):
        (tmp_path / f"{number}.dcm").write_bytes(file)
    (tmp_path / "README.txt").write_text("not an image")
    disc = Dataset()
    disc.file_meta = FileMetaDataset()
    disc.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    disc.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    disc.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    disc.FileSetID = "DISC"
    disc.save_as(tmp_path / "DICOMDIR", enforce_file_format=True)
    (study,) = folder_contents(tmp_path).studies.values()
    assert study.unread == 0
    (tmp_path / "9.dcm").write_bytes(files[9][:600])
    (study,) = folder_contents(tmp_path).studies.values()
    assert study.unread == 1


def test_an_answer_does_not_stand_beside_the_objects_of_an_earlier_one(tmp_path: Path) -> None:
    out, said = tmp_path / "out", list[str]()
    answer = answered(tmp_path / "study")
    written = write_answer(out, answer, result(answer, (), None), said.append)
    assert {path.name for path in out.iterdir()} == {path.name for path in written}
    assert {pydicom.dcmread(path).Modality for path in out.glob("*.dcm")} == {"SEG", "SR", "OT", "KO"}
    assert list(out.glob("*.png"))
    (out / "notes.txt").write_text("mine")
    write_answer(out, None, result(None, (), None), said.append)
    assert {path.name for path in out.iterdir()} == {"result.json", "notes.txt"}
    assert not said


def test_an_answer_is_written_without_the_key_image_that_cannot_be_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError

    answer, said = answered(tmp_path / "study"), list[str]()
    monkeypatch.setattr(key_images, "draw_slice", broken)
    written = write_answer(tmp_path / "out", answer, result(answer, (), None), said.append)
    assert [path.name for path in written] == ["result.json", "seg.dcm", "sr.dcm"]
    assert said == ["key image 1 could not be drawn (ValueError): the answer is written without all its key images"]


def test_a_triton_in_trouble_is_asked_again_and_the_person_who_waits_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def conduct(asked: int) -> None:
        if asked < 3:
            raise UnavailableError("the model process had ended and was started again")

    monkeypatch.setattr(folder_analysis.time, "sleep", lambda _: None)
    uid = str(generate_uid())
    files = {str(number): data for number, data in enumerate(head_series(uid))}
    study = Study(uid, tuple(parse_instance(ref, data) for ref, data in files.items()), files.__getitem__)
    said: list[str] = []
    answer = folder_analysis.analyze(study, Settings(), StandInDetector(conduct), said.append)  # type: ignore[arg-type]
    assert isinstance(answer, ReadAnswer)
    assert said == [
        f"the model process had ended and was started again\nasking again in {pause_s} s" for pause_s in (2, 4)
    ]


def test_a_triton_that_stays_away_is_given_up_with_its_own_words() -> None:
    def ask() -> None:
        raise UnavailableError("Triton does not answer")

    said: list[str] = []
    with pytest.raises(UnavailableError, match="Triton does not answer"):
        patiently(ask, said.append, pauses_s=(0, 0))
    assert len(said) == 2
