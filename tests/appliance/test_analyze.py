# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import resource
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
from appliance.answer_folder import AnswerFolder
from appliance.errors import ApplianceError, RefusalCode, RefusedError, UnavailableError
from appliance.imaging.instances import parse_instance
from appliance.pipeline import Answer, Pipeline, ReadAnswer, Study
from appliance.results import key_images
from appliance.settings import Settings
from tests.appliance.stand_in import StandInDetector, head_series


def answer_folder(folder: Path) -> Answer:
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
    answer = answer_folder(tmp_path / "study")
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
    def fail(*_: object) -> None:
        raise ValueError

    answer, said = answer_folder(tmp_path / "study"), list[str]()
    monkeypatch.setattr(key_images, "draw_slice", fail)
    written = write_answer(tmp_path / "out", answer, result(answer, (), None), said.append)
    assert [path.name for path in written] == ["result.json", "seg.dcm", "sr.dcm"]
    assert said == ["key image 1 could not be drawn (ValueError): the answer is written without all its key images"]


def test_an_answer_in_the_folder_of_the_study_leaves_the_study_as_it_was(tmp_path: Path) -> None:
    folder, said = tmp_path / "study", list[str]()
    answer = answer_folder(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for _ in range(2):  # the second time an earlier answer is there
        write_answer(folder, answer, result(answer, (), None), said.append)
    assert {name: (folder / name).read_bytes() for name in before} == before
    write_answer(folder, None, result(None, (), None), said.append)
    assert {path.name for path in folder.iterdir()} == {*before, "result.json"}


@pytest.mark.parametrize("name", ["seg.dcm", "sr.dcm", "key-image-1.dcm", "key-image-1.png", "result.json"])
def test_a_file_of_the_user_with_one_of_our_names_is_neither_written_over_nor_removed(
    tmp_path: Path, name: str
) -> None:
    answer, out = answer_folder(tmp_path / "study"), tmp_path / "out"
    out.mkdir()
    source = next((tmp_path / "study").iterdir()).read_bytes()
    mine = {".dcm": source, ".png": b"\x89PNG\r\n\x1a\n", ".json": b'{"present": "my own"}'}[(out / name).suffix]
    (out / name).write_bytes(mine)
    for written in (answer, None):
        with pytest.raises(ApplianceError, match=rf"holds {name}, which this appliance did not write"):
            write_answer(out, written, result(written, (), None), print)
        assert {path.name: path.read_bytes() for path in out.iterdir()} == {name: mine}
    with pytest.raises(ApplianceError, match="did not write"):
        AnswerFolder(out).require_usable()


def test_a_file_whose_name_only_begins_like_one_of_ours_stays(tmp_path: Path) -> None:
    answer, out = answer_folder(tmp_path / "study"), tmp_path / "out"
    write_answer(out, answer, result(answer, (), None), print)
    mine = {"key-image-1-annotated.dcm", "key-image-10.png.bak", "seg.dcm.old", "segment.dcm"}
    for name in mine:
        (out / name).write_bytes((out / "seg.dcm").read_bytes())
    write_answer(out, None, result(None, (), None), print)
    assert {path.name for path in out.iterdir()} == {*mine, "result.json"}


def test_an_answer_that_does_not_fit_on_the_disk_leaves_the_earlier_one_whole(tmp_path: Path) -> None:
    answer, out = answer_folder(tmp_path / "study"), tmp_path / "out"
    write_answer(out, None, result(None, (), None), print)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))  # a key image has more
    try:
        with pytest.raises(ApplianceError, match=r"--out .* cannot be written to: File too large"):
            write_answer(out, answer, result(answer, (), None), print)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.parametrize("out", ["/proc/no-such-process/out", "/proc/self/net"])
def test_a_folder_that_cannot_be_made_or_written_is_told_in_a_sentence(tmp_path: Path, out: str) -> None:
    with pytest.raises(ApplianceError, match=rf"--out {out} cannot be (made|written to): "):
        write_answer(Path(out), None, result(None, (), None), print)


@pytest.fixture
def as_nobody() -> Iterator[Path]:
    """A folder that everybody may enter; what runs in the test has the rights of nobody, if it had all of them."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            yield Path(folder)
        finally:
            os.seteuid(user)


def test_a_folder_that_may_be_listed_and_not_entered_lets_nothing_be_read(as_nobody: Path) -> None:
    for number, data in enumerate(head_series(str(generate_uid()))):
        file = as_nobody / ("a" if number % 2 else "b") / f"{number}.dcm"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(data)
    (as_nobody / "b").chmod(0o400)
    try:
        with pytest.raises(ApplianceError, match=r"b/\d+\.dcm.* cannot be read: Permission denied"):
            folder_contents(as_nobody)
    finally:
        (as_nobody / "b").chmod(0o700)


def test_a_link_to_what_is_not_there_lets_nothing_be_read_and_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "0.dcm").write_bytes(head_series(str(generate_uid()))[0])
    os.mkfifo(tmp_path / "pipe")
    assert folder_contents(tmp_path).refusals == ()
    (tmp_path / "1.dcm").symlink_to("/nowhere/1.dcm")
    with pytest.raises(ApplianceError, match=r"1\.dcm: this file or folder cannot be read"):
        folder_contents(tmp_path)


def test_a_folder_for_answers_without_rights_is_told_of_before_anything_is_read(as_nobody: Path) -> None:
    out = as_nobody / "out"
    out.mkdir(mode=0o500)
    for path in (out, out / "below"):
        with pytest.raises(ApplianceError, match="this user has no right to"):
            AnswerFolder(path).require_usable()
    (as_nobody / "file").touch()
    with pytest.raises(ApplianceError, match="cannot be made"):
        AnswerFolder(as_nobody / "file" / "out").require_usable()


def test_a_folder_without_a_file_has_a_code(tmp_path: Path) -> None:
    (tmp_path / "empty" / "inside").mkdir(parents=True)
    contents = folder_contents(tmp_path / "empty")
    assert [refusal.code for refusal in contents.refusals] == [RefusalCode.NO_IMAGES]


def test_a_file_larger_than_any_image_is_not_taken_whole(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    (first, *_) = head_series(str(generate_uid()))
    with (folder / "0.dcm").open("wb") as file:
        file.write(first)
        file.truncate(3 * 2**30)  # which takes no room on the disk
    (study,) = folder_contents(folder).studies.values()
    with pytest.raises(RefusedError) as refused:
        study.fetch(study.instances[0].ref)
    assert [refusal.code for refusal in refused.value.refusals] == [RefusalCode.TOO_LARGE]


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
