# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Golden studies on a real Orthanc, with versions of the small detector in a real Triton."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from pydicom.uid import generate_uid
from typer.testing import CliRunner

from appliance.cli import app
from appliance.leases import Leases
from appliance.ledger.records import AuditEvent
from appliance.models.golden import GoldenError, differences, golden_study
from appliance.models.life import ModelLifeError
from appliance.reading import contract
from appliance.reading.golden import golden_chunk, golden_summary
from appliance.settings import Settings
from appliance.trial import Trial
from deploy.local.settings_file import write_settings
from tests.appliance.bench import worker_at
from tests.appliance.inference.blob_detector import answers, onnx_model
from tests.appliance.intake.desk import Desk
from tests.appliance.models.site import Site
from tests.appliance.stand_in import StandInRoom, head_series


class GoldenSite(Site):
    """A site whose studies are answered by its first version."""

    def __init__(self, folder: Path, orthanc: Settings) -> None:
        super().__init__(folder, orthanc)
        self.desk = Desk(self.settings, folder / "state" / "ledger.sqlite")
        self.desk.take_in()
        room = StandInRoom(self.settings, self.detector)  # type: ignore[arg-type]
        desk = self.desk
        desk.reader = room.pipeline()
        leases = Leases(desk.ledger, "worker", self.settings.ledger.lease_s, self.settings.ledger.stall_s)
        self.worker = worker_at(desk, leases, room, Trial(self.settings, room.trial_program, 60))

    def answer(self) -> str:
        """Have a study answered, and return its UID; it shows blood."""
        study = str(generate_uid())
        self.desk.send(*head_series(study))
        self.desk.quiet()
        assert self.worker.work()
        (job,) = self.desk.jobs(study)
        assert job.answer["present"] is True
        return study

    def bring_blind(self, version: int) -> None:
        """Bring a version in that proves itself on the golden chunk, and sees blood only from 99 HU on."""
        model = onnx_model()
        (least,) = (one for one in model.graph.initializer if one.name == "fifty")
        least.CopyFrom(numpy_helper.from_array(np.asarray(99, np.float32), "fifty"))
        onnx.helper.set_model_props(model, {**contract.metadata(), "release": str(version)})
        data = model.SerializeToString()
        golden = golden_summary(answers(data, golden_chunk()))
        self.bring(version, model=data, parameters={contract.PARAMETER_GOLDEN: golden})

    def close(self) -> None:
        self.desk.close()
        super().close()


@pytest.fixture
def site(settings: Settings, tmp_path: Path) -> Iterator[GoldenSite]:
    opened = GoldenSite(tmp_path, settings)
    yield opened
    opened.close()


@pytest.fixture
def models(site: GoldenSite, tmp_path: Path) -> object:
    file = write_settings(site.settings, tmp_path / "appliance.toml")

    def run(*arguments: str, fails: bool = False) -> str:
        done = CliRunner().invoke(app, ["models", *arguments, "--settings", str(file)], env={"COLUMNS": "200"})
        assert done.exit_code == int(fails), done.output
        return done.stdout if "--json" in arguments else done.output

    return run


def test_a_version_that_reads_a_golden_study_otherwise_is_promoted_only_with_a_reason_which_is_kept(
    site: GoldenSite,
    models,  # type: ignore[no-untyped-def]
) -> None:
    study = site.answer()
    assert "hemorrhage" in models("golden", "add", study, "--present", "--note", "read twice", "--by", "Dr. A")
    (listed,) = json.loads(models("golden", "list", "--json"))
    assert (listed["study_uid"], listed["who"], listed["note"]) == (study, "Dr. A", "read twice")
    site.bring_blind(2)
    refused = models("promote", "2", fails=True)
    assert "1 of 1 golden studies came back otherwise" in refused
    assert study in refused
    assert "no hemorrhage" in refused
    assert site.answering() == "1"
    assert site.life.list_loaded() == {"hemorrhage_detector"}
    models("promote", "2", "--anyway", "it is a test", "--by", "Dr. B")
    assert site.answering() == "2"
    told = [one for one in site.ledger.audit.entries() if one.event in (AuditEvent.MODEL, AuditEvent.GOLDEN)]
    assert [(one.event, one.who) for one in told] == [(AuditEvent.GOLDEN, "Dr. A"), (AuditEvent.MODEL, "Dr. B")]
    assert "1 of 1 golden studies differ, promoted anyway: it is a test" in told[1].details["note"]
    models("rollback")
    assert site.answering() == "1"


def test_a_version_that_agrees_takes_over_and_its_record_says_on_how_many_studies(
    site: GoldenSite,
    models,  # type: ignore[no-untyped-def]
) -> None:
    study = site.answer()
    models("golden", "add", study, "--present")
    site.bring(2)
    site.bring_blind(3)
    assert "version 2 is not loaded" in models("golden", "check", "2", fails=True)
    models("load", "2")
    models("load", "3")
    assert "agrees" in models("golden", "check", "2")
    (row,) = json.loads(models("golden", "check", "3", "--json", fails=True))
    assert row["study_uid"] == study
    assert any("no hemorrhage" in one for one in row["differences"])
    models("promote", "2")
    assert "1 golden studies agree" in site.ledger.models.list_promoted()[0].note
    models("golden", "remove", study)
    models("promote", "3")
    assert site.answering() == "3"


def test_a_golden_study_that_orthanc_does_not_hold_any_more_proves_nothing_and_is_named(site: GoldenSite) -> None:
    study = site.answer()
    site.ledger.golden.add(golden_study(site.ledger, study, True, "a tester", ""))
    job = site.desk.jobs(study)[-1]
    site.desk.delete_study(job.orthanc_study)
    site.bring(2)
    with pytest.raises(ModelLifeError, match="does not hold the study any more"):
        site.promote(2)
    assert site.answering() == "1"


def test_only_a_study_whose_answer_is_the_confirmed_one_becomes_golden(
    site: GoldenSite,
    models,  # type: ignore[no-untyped-def]
) -> None:
    study = site.answer()
    with pytest.raises(GoldenError, match="is hemorrhage, and none was confirmed"):
        golden_study(site.ledger, study, False, "a tester", "")
    assert "has no answer here" in models("golden", "add", "1.2.3", "--absent", fails=True)
    models("golden", "add", study, "--present")
    assert "is golden already" in models("golden", "add", study, "--present", fails=True)
    assert "is not golden" in models("golden", "remove", "1.2.3", fails=True)


def answer(present: bool, **ml: float) -> dict[str, object]:
    lesions = [{"type": kind, "volume_ml": volume} for kind, volume in ml.items()]
    return {"present": present, "probability": 0.99 if present else 0.1, "lesions": lesions}


@pytest.mark.parametrize(
    ("confirmed", "read", "points"),
    [
        (answer(True, iph=20), answer(True, iph=25.9), 0),
        (answer(True, iph=20), answer(True, iph=26.1), 1),
        (answer(True, iph=20), answer(True, iph=13.9), 1),
        (answer(True, sah=0.5), answer(True, sah=1.4), 0),
        (answer(True, iph=20), answer(True, edh_sdh=20), 2),
        (answer(True, iph=20), answer(False), 2),
        (answer(False), answer(True, sah=0.2), 1),
        (answer(False), answer(False), 0),
    ],
)
def test_answers_agree_on_hemorrhage_and_on_the_volume_of_each_type_within_the_stated_bounds(
    confirmed: dict[str, object], read: dict[str, object], points: int
) -> None:
    assert len(differences(confirmed, read)) == points
