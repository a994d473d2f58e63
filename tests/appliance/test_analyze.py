# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pydicom
from pydicom.uid import generate_uid

from appliance.analyze import folder_contents, result, write_answer
from appliance.pipeline import Pipeline
from appliance.settings import Settings
from tests.appliance.stand_in import StandInDetector, head_series


def test_an_answer_does_not_stand_beside_the_objects_of_an_earlier_one(tmp_path: Path) -> None:
    folder, out = tmp_path / "study", tmp_path / "out"
    folder.mkdir()
    uid = str(generate_uid())
    for number, file in enumerate(head_series(uid)):
        (folder / f"{number}.dcm").write_bytes(file)
    answer = Pipeline(Settings(), StandInDetector()).answer(folder_contents(folder).studies[uid])  # type: ignore[arg-type]
    written = write_answer(out, answer, result(answer, (), None))
    assert {path.name for path in out.iterdir()} == {path.name for path in written}
    assert {pydicom.dcmread(path).Modality for path in out.glob("*.dcm")} == {"SEG", "SR", "OT", "KO"}
    assert list(out.glob("*.png"))
    (out / "notes.txt").write_text("mine")
    write_answer(out, None, result(None, (), None))
    assert {path.name for path in out.iterdir()} == {"result.json", "notes.txt"}
