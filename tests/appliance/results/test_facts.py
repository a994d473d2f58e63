# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.sr.coding import Code
from pydicom.uid import generate_uid

from appliance.analyze import folder_contents, result
from appliance.answer_text import status_lines
from appliance.coverage.coverage import Coverage
from appliance.delivery.summary import summary
from appliance.pipeline import Pipeline, ReadAnswer
from appliance.results import facts, key_images
from appliance.results.facts import (
    LESION_FACTS,
    LesionFact,
    Place,
    lesion_facts,
    lesion_headline,
    lesion_row,
    lesion_sentence,
    lesion_words,
)
from appliance.results.wording import millilitres
from appliance.settings import Settings
from tests.appliance.results.answers import answer_of
from tests.appliance.stand_in import StandInDetector, head_series

SURFACE = LesionFact(
    "widest_slice",
    lambda lesion: max(lesion.voxels),
    "widest",
    place=Place.DETAIL,
    shown="widest {} voxels".format,
    measure=Code("99widest", "99TEST", "Voxels on the widest slice"),
)


def read(folder: Path) -> ReadAnswer:
    folder.mkdir()
    uid = str(generate_uid())
    for number, file in enumerate(head_series(uid)):
        (folder / f"{number}.dcm").write_bytes(file)
    answer = Pipeline(Settings(), StandInDetector()).answer(folder_contents(folder).studies[uid])  # type: ignore[arg-type]
    assert isinstance(answer, ReadAnswer)
    return answer


def test_a_lesion_has_the_same_facts_in_the_ledger_and_in_result_json_where_slices_are_named(tmp_path: Path) -> None:
    answer = read(tmp_path / "study")
    (kept, *_), (told, *_) = summary(answer)["lesions"], result(answer, (), None)["lesions"]
    assert set(kept) == {fact.name for fact in LESION_FACTS}
    assert {**told, "slices": len(told["slices"])} == kept


def test_status_and_key_image_name_a_lesion_in_the_same_words() -> None:
    finding = answer_of().finding
    for lesion in finding.lesions:
        headline = lesion_headline(lesion_facts(lesion))
        assert headline == f"{lesion.type.display} {millilitres(lesion.volume_ml)}"
        told = {"study_uid": "1.2", "state": "done", "present": True, "lesions": [lesion_facts(lesion)]}
        assert headline in status_lines(told)[1]
        titles = key_images._title(finding, lesion.slices[0], Coverage(12, 12, 60.0))
        assert headline in [words for words, _ in titles]
        assert lesion_sentence(lesion, 40).startswith(f"{lesion.type.display}, {lesion.size_class.value}: ")


def test_a_speck_is_not_said_to_have_no_volume() -> None:
    assert lesion_headline({"type": "sah", "volume_ml": 0.0421}) == "SAH 0.042 mL"


def test_a_fact_that_a_lesion_does_not_have_is_an_empty_cell_and_has_no_words() -> None:
    (lesion, *_) = [one for one in answer_of().finding.lesions if one.abc2_ml is None]
    row = dict(zip((fact.name for fact in LESION_FACTS), lesion_row(lesion_facts(lesion)), strict=True))
    assert row["abc2_ml"] == ""
    assert row["volume_ml"] == f"{lesion.volume_ml:.2f}"
    assert "None" not in " ".join(lesion_words(lesion_facts(lesion), Place.DETAIL))


def test_one_new_fact_stands_in_the_ledger_the_page_the_table_result_json_and_the_sr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts, "LESION_FACTS", (*LESION_FACTS, SURFACE))
    answer = read(tmp_path / "study")
    widest = max(answer.finding.lesions[0].voxels)
    lesion = summary(answer)["lesions"][0]
    assert lesion["widest_slice"] == widest
    assert result(answer, (), None)["lesions"][0]["widest_slice"] == widest
    assert lesion_row(lesion)[-1] == str(widest)
    assert f"widest {widest} voxels" in lesion_words(lesion, Place.DETAIL)
    assert "99widest" in answer.results.sr.to_json()


def test_a_lesion_that_was_kept_before_a_fact_existed_is_shown_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = lesion_facts(answer_of().finding.lesions[0])
    monkeypatch.setattr(facts, "LESION_FACTS", (*LESION_FACTS, SURFACE))
    assert lesion_words(kept, Place.DETAIL) == [kept["size_class"], f"confidence {kept['confidence']:.2f}"]
