# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`appliance analyze`: a folder of DICOM files through the same pipeline, without Orthanc."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pydicom
import pytest

from appliance.ports import is_free
from appliance.settings import Settings
from deploy.local.appliance import ROOT
from deploy.local.settings_file import make_absolute, write_settings
from simulator.series import SeriesKind
from tests.end_to_end.command import appliance
from tests.end_to_end.patient import Patient
from tests.end_to_end.running import Running

ANALYSED, FAILED, WRONG_CALL, REFUSED = 0, 1, 2, 3
KEYS = {"present", "probability", "coverage", "flaws", "lesions", "series", "refusals", "timing_ms", "model"}
LESION_KEYS = {"type", "volume_ml", "abc2_ml", "size_class", "confidence", "slices"}


def result(out: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((out / "result.json").read_text())
    return document


def test_a_folder_is_analysed_with_a_triton_that_is_started_for_it_and_stopped_again(
    settings: Settings, bleeding: Patient, tmp_path: Path
) -> None:
    written = bleeding.full_study(tmp_path / "study")
    (written.folder / "notes").mkdir()
    (written.folder / "notes" / "letter.txt").write_text("not an image")
    (written.folder / "cut.dcm").write_bytes(written.files[SeriesKind.AXIAL][0].read_bytes()[:200])
    file, out = tmp_path / "appliance.toml", tmp_path / "out"
    write_settings(make_absolute(settings, ROOT), file)

    done = appliance("analyze", written.folder, "--out", out, "--settings", file)

    assert done.returncode == ANALYSED, done.stdout + done.stderr
    document = result(out)
    assert set(document) == KEYS
    assert document["present"] is True
    assert 0 < document["probability"] <= 1
    lesion = document["lesions"][0]
    assert set(lesion) == LESION_KEYS
    assert lesion["type"] == "iph"
    assert lesion["size_class"] == "large"
    assert lesion["abc2_ml"] > 0
    truth = written.truth
    axial = next(series for series in truth.series if series.series_uid == truth.series_uid)
    assert set(lesion["slices"]) <= set(axial.instance_uids)
    assert document["series"] == {
        "uid": truth.series_uid,
        "description": axial.description or "",
        "slices": len(axial.files),
    }
    covered = document["coverage"]
    assert covered["slices_read"] + covered["slices_empty"] == len(axial.files)
    assert covered["slices_there"] == covered["slices_read"]
    assert covered["missing"] == ["1 image of the study cannot be read and may belong to it"]  # cut.dcm
    assert covered["partial"] is True
    assert {"select", "read", "check", "infer", "find", "report", "total"} == set(document["timing_ms"])
    assert document["timing_ms"]["total"] == pytest.approx(
        sum(ms for step, ms in document["timing_ms"].items() if step != "total")
    )
    assert set(document["model"]) == {"name", "version", "sha256"}
    assert all(set(refusal) == {"series_uid", "code", "reason"} for refusal in document["refusals"])
    of_files = [refusal["reason"] for refusal in document["refusals"] if refusal["code"] == "not_dicom"]
    assert any("notes/letter.txt" in reason for reason in of_files)
    assert any("cut.dcm" in reason for reason in of_files)

    modalities = sorted(pydicom.dcmread(path).Modality for path in out.glob("*.dcm"))
    key_images = modalities.count("OT")
    assert key_images >= 1
    assert modalities == ["KO", *["OT"] * key_images, "SEG", "SR"]
    pictures = list(out.glob("*.png"))
    assert len(pictures) == key_images
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)
    assert is_free(settings.triton.grpc_port)


def test_several_studies_in_a_folder_need_one_to_be_named(
    running: Running, bleeding: Patient, healthy: Patient, tmp_path: Path
) -> None:
    one, other = bleeding.study(tmp_path / "in" / "a"), healthy.study(tmp_path / "in" / "b")
    call = ("analyze", tmp_path / "in", "--out", tmp_path / "out", "--settings", running.settings_file)

    unnamed = appliance(*call, columns=200)
    assert unnamed.returncode == WRONG_CALL
    assert one.truth.study_uid in unnamed.stderr
    assert other.truth.study_uid in unnamed.stderr
    assert not (tmp_path / "out").exists()

    named = appliance(*call, "--study", other.truth.study_uid, "--json")
    assert named.returncode == ANALYSED, named.stderr
    document = result(tmp_path / "out")
    assert document == json.loads(named.stdout)
    assert document["present"] is False
    assert document["lesions"] == []
    assert document["coverage"]["partial"] is False
    assert document["series"]["uid"] == other.truth.series_uid
    assert not (tmp_path / "out" / "seg.dcm").exists()


def test_a_study_that_cannot_be_read_is_refused_with_every_key_in_place(
    running: Running, bleeding: Patient, tmp_path: Path
) -> None:
    written = bleeding.full_study(tmp_path / "study")
    for file in written.files[SeriesKind.AXIAL]:
        file.unlink()
    done = appliance("analyze", written.folder, "--out", tmp_path / "out", "--settings", running.settings_file)
    assert done.returncode == REFUSED, done.stderr
    document = result(tmp_path / "out")
    assert set(document) == KEYS
    assert (document["present"], document["probability"], document["series"]) == (None, None, None)
    assert document["lesions"] == []
    codes = {refusal["code"] for refusal in document["refusals"]}
    assert codes >= {"not_soft_tissue", "not_axial", "localizer", "not_ct", "no_suitable_series"}
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["result.json"]


def test_a_folder_without_dicom_is_refused(running: Running, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "letter.txt").write_text("not an image")
    done = appliance("analyze", tmp_path / "in", "--out", tmp_path / "out", "--settings", running.settings_file)
    assert done.returncode == REFUSED, done.stderr
    assert result(tmp_path / "out")["present"] is None
    assert [refusal["code"] for refusal in result(tmp_path / "out")["refusals"]] == ["not_dicom"]


def test_a_triton_that_cannot_be_started_fails_and_says_what_is_missing(
    settings: Settings, bleeding: Patient, tmp_path: Path
) -> None:
    written = bleeding.study(tmp_path / "study")
    triton = settings.triton.model_copy(update={"environment": tmp_path / "nowhere"})
    file = tmp_path / "appliance.toml"
    write_settings(make_absolute(settings.model_copy(update={"triton": triton}), ROOT), file)
    done = appliance("analyze", written.folder, "--out", tmp_path / "out", "--settings", file, columns=200)
    assert done.returncode == FAILED
    assert "nowhere" in done.stderr.replace("\n", "")


def test_an_empty_folder_is_refused_with_a_code(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    file = write_settings(make_absolute(settings, ROOT), tmp_path / "appliance.toml")
    done = appliance("analyze", tmp_path / "in", "--out", tmp_path / "out", "--settings", file)
    assert done.returncode == REFUSED, done.stderr
    assert "refused: no_images: the folder holds no file" in done.stdout
    assert [refusal["code"] for refusal in result(tmp_path / "out")["refusals"]] == ["no_images"]


def test_every_fault_of_folder_disk_and_rights_is_one_sentence_and_leaves_nothing_behind(
    settings: Settings, bleeding: Patient, tmp_path: Path
) -> None:
    written = bleeding.study(tmp_path / "study")
    before = {path: path.read_bytes() for path in (tmp_path / "study").rglob("*") if path.is_file()}
    (tmp_path / "file").touch()
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "seg.dcm").write_bytes(b"mine")
    good = write_settings(make_absolute(settings, ROOT), tmp_path / "good.toml")
    stateless = settings.model_copy(update={"state_dir": tmp_path / "file" / "state"})
    bad = write_settings(make_absolute(stateless, ROOT), tmp_path / "bad.toml")
    for out, file, told in (
        (tmp_path / "file" / "out", good, "cannot be made"),
        (Path("/proc/out"), good, "cannot be"),
        (tmp_path / "foreign", good, "holds seg.dcm, which this appliance did not write"),
        (tmp_path / "out", bad, f"state_dir = {tmp_path / 'file' / 'state'}: Triton cannot be started"),
    ):
        done = appliance("analyze", written.folder, "--out", out, "--settings", file, columns=300)
        assert done.returncode == FAILED, (out, done.stderr)
        assert told in done.stderr, out
        assert "Traceback" not in done.stderr + done.stdout
        assert not done.stderr.removeprefix("no Triton").count("\n") > 2, done.stderr
    assert not (tmp_path / "out").exists()
    assert (tmp_path / "foreign" / "seg.dcm").read_bytes() == b"mine"
    assert {path: path.read_bytes() for path in (tmp_path / "study").rglob("*") if path.is_file()} == before


def test_a_service_without_rights_to_its_state_folder_says_so_in_a_sentence(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    stateless = settings.model_copy(update={"state_dir": tmp_path / "file" / "state"})
    file = write_settings(make_absolute(stateless, ROOT), tmp_path / "appliance.toml")
    done = appliance("serve", "--settings", file, columns=300)
    assert done.returncode == FAILED
    assert "Traceback" not in done.stderr
    assert str(tmp_path / "file") in done.stderr
