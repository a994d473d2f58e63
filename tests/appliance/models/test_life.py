# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Versions of the small detector in a real Triton, beside a detector that reads as the service's does."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from onnx import helper
from typer.testing import CliRunner

from appliance.cli import app
from appliance.clocks import iso
from appliance.errors import UnavailableError
from appliance.inference import loads as loads_module
from appliance.inference.detections import Reading
from appliance.inference.detector import TritonDetector
from appliance.inference.regions import processes_of_model, region_prefix
from appliance.ledger.models import OvertakenError
from appliance.ledger.records import AuditEvent, ModelEvent
from appliance.models.command import threshold_words
from appliance.models.golden import Checked, GoldenError
from appliance.models.life import ModelLifeError, overview
from appliance.models.priority import give_way_on_the_processor, gives_way
from appliance.models.shelf import ShelfError
from appliance.models.standing import targets, targets_of
from appliance.reading import contract
from appliance.reading.golden import golden_chunk, golden_summary
from appliance.settings import Settings
from deploy.local.settings_file import write_settings
from tests.appliance.inference.blob_detector import answers, onnx_model, write_repository
from tests.appliance.inference.ports import triton_settings
from tests.appliance.models.released import write_release
from tests.appliance.models.site import Site
from tests.appliance.running import until

ROOT = Path(__file__).parents[3]
WRONG_GOLDEN = json.dumps(
    {
        "scores": [[0.9, 0, 0]] * contract.CHUNK_SLICES,
        "lowest": 0.05,
        "detections": [],
        "dismissed": 1,
        "tolerance": 0.1,
    }
)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    opened = Site(tmp_path)
    yield opened
    opened.close()


def events(site: Site) -> list[tuple[str, str]]:
    return [(change.event.value, change.version) for change in site.ledger.models.changes()]


def test_a_version_that_is_loaded_answers_nothing_before_it_is_promoted_and_the_next_study_after(site: Site) -> None:
    shipped = site.read().model.sha256
    brought = site.bring(2)
    site.life.load(site.life.shelf.version("2"))
    assert site.life.list_loaded() == {"hemorrhage_detector", "hemorrhage_detector_2"}
    assert site.read().model.sha256 == shipped
    site.promote(2)
    after = site.read()
    assert (after.model.version, after.model.sha256) == ("2", brought)
    assert after.model.name == contract.DETECTOR
    assert len(after.detections) == 4
    site.life.rollback()
    assert site.read().model.sha256 == shipped
    assert events(site) == [("loaded", "2"), ("promoted", "2"), ("rolled_back", "1")]
    assert {change.who for change in site.ledger.models.changes()} == {"a tester"}
    told = [(one.who, one.details["change"]) for one in site.ledger.audit.entries() if one.event is AuditEvent.MODEL]
    assert told == [("a tester", "promoted"), ("a tester", "rolled_back")]


def test_a_network_with_other_score_levels_brings_its_threshold_golden_answer_and_reference(site: Site) -> None:
    shipped = site.read()
    graph = onnx_model(most=0.3)
    helper.set_model_props(graph, {**contract.metadata(), "release": "2"})
    model = graph.SerializeToString()
    own = {
        contract.PARAMETER_THRESHOLD: "0.21",
        contract.PARAMETER_GOLDEN: golden_summary(answers(model, golden_chunk())),
    }
    release = write_release(site.folder / "release", 2, model=model, parameters=dict(own))
    (release / contract.DETECTOR / "2" / "reference.json").write_text("{}")
    version = site.life.shelf.bring_in(release)
    assert (version.place / "reference.json").read_text() == "{}"
    site.promote(2)
    reading = site.read()
    assert (shipped.suggested_threshold, reading.suggested_threshold) == (0.4, 0.21)
    assert site.detector.golden == own[contract.PARAMETER_GOLDEN]
    assert site.detector.check_readiness()
    assert max(max(one.scores) for one in reading.detections) == pytest.approx(0.3, abs=1e-3)
    site.life.rollback()
    assert site.read().suggested_threshold == 0.4
    assert site.detector.check_readiness()


def test_rollbacks_go_back_one_promotion_at_a_time(site: Site) -> None:
    for version in (2, 3):
        site.bring(version)
        site.promote(version)
    assert site.answering() == "3"
    site.life.rollback()
    assert site.answering() == "2"
    site.promote(3)
    site.life.rollback()
    site.life.rollback()
    assert site.answering() == "1"
    with pytest.raises(ModelLifeError, match="no version was promoted"):
        site.life.rollback()


def reader(site: Site) -> TritonDetector:
    """Return a detector that reads what is promoted, as the service has it after a start."""
    return TritonDetector(site.settings.triton, targets=lambda: targets(site.ledger.models.list_promoted()))


def test_after_an_upgrade_the_new_shipped_version_answers_where_the_shipped_one_was_promoted_last(site: Site) -> None:
    site.bring(2)
    site.promote(2)
    site.promote(1)
    with closing(reader(site)) as detector:
        assert detector.identity.version == "1"
    shipped = site.upgrade(4)
    with closing(reader(site)) as detector:
        assert (detector.identity.sha256, detector.passed_over) == (shipped, "")
    with pytest.raises(ModelLifeError, match="version 4 answers already"):
        site.promote(4)
    listed = overview(site.life, site.life.changes(), shipped, None)
    assert [(row["version"], row["promoted"]) for row in listed["versions"]] == [("4", True), ("2", False)]


def test_a_rollback_goes_to_the_shipped_version_of_now_if_that_of_an_earlier_release_answered_before(
    site: Site,
) -> None:
    for version in (2, 3):
        site.bring(version)
    for version in (2, 1, 3):
        site.promote(version)
    site.upgrade(4)
    site.life.rollback()
    with closing(reader(site)) as detector:
        assert (detector.identity.version, detector.passed_over) == ("4", "")


def test_a_study_that_was_begun_is_read_to_its_end_by_the_version_that_began_it(site: Site) -> None:
    site.bring(2)
    begun, promoted = threading.Event(), threading.Event()
    read: list[Reading] = []

    def hold() -> bool:
        begun.set()
        return promoted.wait(600)

    reading = threading.Thread(target=lambda: read.append(site.read(slices=40, go_on=hold)))
    reading.start()
    assert begun.wait(600)
    site.promote(2)
    promoted.set()
    reading.join(600)
    assert [one.model.version for one in read] == ["1"]
    assert len(read[0].detections) == 40
    assert site.answering() == "2"


@pytest.mark.parametrize(
    ("of_release", "why"),
    [
        ({"parameters": {contract.PARAMETER_GOLDEN: WRONG_GOLDEN}}, "golden chunk came back wrong"),
        ({"model": b"no network"}, "load failed for model"),
        ({"parameters": {"clip_hu": "80.0"}}, "parameter clip_hu is '80.0'"),
    ],
)
def test_a_version_that_does_not_prove_itself_is_not_promoted_and_the_old_one_serves_on(
    site: Site, of_release: dict[str, object], why: str
) -> None:
    site.bring(2, **of_release)
    with pytest.raises(ModelLifeError, match=why):
        site.promote(2)
    assert site.answering() == "1"
    assert events(site) == [("failed", "2")]
    until(lambda: site.life.list_loaded() == {"hemorrhage_detector"}, "without its memory")
    triton = site.settings.triton
    assert httpx.get(f"http://{triton.host}:{triton.http_port}/v2/health/ready", trust_env=False, timeout=60).is_success


def failing(error: BaseException) -> Callable[..., list[Checked]]:
    def check(*_: object) -> list[Checked]:
        raise error

    return check


def test_a_promotion_that_fails_or_is_interrupted_at_the_golden_studies_frees_its_memory_and_is_recorded(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.bring(2)
    for error in (UnavailableError("Orthanc is away"), GoldenError("cannot be read"), KeyboardInterrupt()):
        with monkeypatch.context() as patched:
            patched.setattr(site.life, "check_golden", failing(error))
            with pytest.raises(type(error)):
                site.promote(2)
        until(lambda: site.life.list_loaded() == {"hemorrhage_detector"}, "unloaded")
        assert events(site)[-1] == ("failed", "2")
    assert [change.note for change in site.ledger.models.changes()] == [
        "Orthanc is away",
        "cannot be read",
        "interrupted (KeyboardInterrupt)",
    ]
    assert site.answering() == "1"


def test_a_shadow_whose_promotion_fails_stays_the_shadow_and_loaded(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.bring(2)
    site.life.shadow(site.life.shelf.version("2"))
    give_way_on_the_processor(site.life.servers[0].processes("hemorrhage_detector_2"))
    monkeypatch.setattr(site.life, "check_golden", failing(UnavailableError("Orthanc is away")))
    with pytest.raises(UnavailableError):
        site.promote(2)
    shadow = site.ledger.models.shadow()
    assert shadow is not None
    assert shadow.version == "2"
    assert site.life.list_loaded() == {"hemorrhage_detector", "hemorrhage_detector_2"}
    assert site.answering() == "1"


def test_a_version_that_somebody_else_promoted_meanwhile_stays_loaded(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.bring(2)
    facts = site.life.shelf.version("2").facts

    def promoted_by_another(*_: object) -> list[Checked]:
        site.ledger.models.take_over(ModelEvent.PROMOTED, facts, "another", "", after=0)
        return []

    monkeypatch.setattr(site.life, "check_golden", promoted_by_another)
    with pytest.raises(OvertakenError):
        site.promote(2)
    assert site.answering() == "2"
    assert "hemorrhage_detector_2" in (site.life.list_loaded() or ())


def test_a_promotion_that_is_killed_in_the_middle_leaves_the_old_version_answering_and_a_true_list(
    site: Site, tmp_path: Path
) -> None:
    held = tmp_path / "held"  # in the middle of its proof
    held.touch()
    site.bring(2, held=held)
    file = write_settings(site.settings, tmp_path / "appliance.toml")
    promoting = subprocess.Popen(
        [sys.executable, "-m", "appliance", "models", "promote", "2", "--settings", str(file)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until(lambda: "hemorrhage_detector_2" in (site.life.list_loaded() or ()), "loaded")
    os.kill(promoting.pid, signal.SIGKILL)
    promoting.wait()
    held.unlink()
    assert site.answering() == "1"
    listed = json.loads(CliRunner().invoke(app, ["models", "list", "--json", "--settings", str(file)]).stdout)
    states = {row["version"]: (row["promoted"], row["loaded"]) for row in listed["versions"]}
    assert states == {"1": (True, True), "2": (False, True)}
    site.promote(2)
    assert site.answering() == "2"


def test_a_triton_that_was_started_anew_serves_the_promoted_version_again(site: Site) -> None:
    site.bring(2)
    site.promote(2)
    site.server.stop()
    site.server.start()
    assert site.life.list_loaded() == {"hemorrhage_detector"}

    def answers_again() -> bool:
        with suppress(UnavailableError):  # the first question may meet the old connection
            return site.answering() == "2"
        return False

    until(answers_again, "version 2")
    assert site.detector.passed_over == ""


def why_the_first_version_answers(site: Site) -> str:
    """Return why a new detector passes over the promoted version; version 1 must answer."""
    with closing(reader(site)) as detector:
        assert detector.identity.version == "1"
        return detector.passed_over


def test_an_earlier_version_stands_in_for_a_promoted_one_that_is_gone_and_says_so(site: Site) -> None:
    site.bring(2)
    site.promote(2)
    assert site.answering() == "2"
    site.server.stop()
    shutil.rmtree(site.settings.site_models / "hemorrhage_detector_2")
    site.server.start()
    assert "hemorrhage_detector_2" in why_the_first_version_answers(site)


def test_an_earlier_version_stands_in_for_a_promoted_one_whose_load_does_not_end(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.bring(2)
    site.promote(2)
    site.server.stop()
    (program,) = (site.settings.site_models / "hemorrhage_detector_2").rglob("model.py")
    program.write_text(f"{program.read_text()}\nimport time\n\ntime.sleep(60)\n")
    site.server.start()
    monkeypatch.setattr(loads_module, "LOAD_TIMEOUT_S", 3.0)
    assert "has not loaded hemorrhage_detector_2 in 3 s" in why_the_first_version_answers(site)


def test_a_file_that_was_put_in_the_place_of_the_promoted_one_does_not_answer(site: Site) -> None:
    site.bring(2)
    site.promote(2)
    folder = site.settings.site_models / "hemorrhage_detector_2"
    config = folder / "configs" / "cpu.pbtxt"
    promoted = site.ledger.models.list_promoted()[0].sha256
    config.write_text(config.read_text().replace(promoted, "f" * 64))
    site.server.stop()
    site.server.start()
    assert "ffffffffffff" in why_the_first_version_answers(site)


def test_of_two_who_promote_at_once_the_second_is_told_and_changes_nothing(site: Site) -> None:
    for version in (2, 3):
        site.bring(version)
    site.promote(2)
    facts = site.life.shelf.version("3").facts
    with pytest.raises(OvertakenError):
        site.ledger.models.take_over(ModelEvent.PROMOTED, facts, "another", "", after=0)
    assert site.answering() == "2"


def test_a_version_that_answers_would_be_taken_back_to_or_stands_in_at_the_last_is_not_unloaded(site: Site) -> None:
    for version in (2, 3, 4):
        site.bring(version)
        site.promote(version)
    for version in ("4", "3", "1"):
        with pytest.raises(ModelLifeError, match="stays loaded"):
            site.life.unload(site.life.shelf.version(version))
    site.life.unload(site.life.shelf.version("2"))
    until(lambda: "hemorrhage_detector_2" not in (site.life.list_loaded() or ()), "unloaded")
    assert "hemorrhage_detector" in (site.life.list_loaded() or ())
    assert site.answering() == "4"


def spoil(site: Site, version: int) -> None:
    (site.settings.site_models / f"hemorrhage_detector_{version}" / str(version) / "model.onnx").write_bytes(b"half")


@pytest.fixture
def models(site: Site, tmp_path: Path) -> Callable[..., str]:
    """Return a function that runs `appliance models` and returns what it says; the command must end with `ends`."""
    file = write_settings(site.settings, tmp_path / "appliance.toml")

    def run(*arguments: str, ends: int = 0, typed: str = "") -> str:
        command = ["models", *arguments, "--settings", str(file)]
        done = CliRunner().invoke(app, command, env={"COLUMNS": "200"}, input=typed)
        assert done.exit_code == ends, done.output
        return done.stdout if "--json" in arguments else done.output

    return run


def test_a_folder_that_cannot_be_read_stops_only_commands_that_name_it_and_is_listed_with_the_way_out(
    site: Site, models: Callable[..., str]
) -> None:
    for version in (2, 3, 7):
        site.bring(version)
    site.promote(2)
    site.promote(3)
    spoil(site, 7)
    assert "damaged" in models("promote", "7", ends=1)
    models("load", "2")
    models("rollback")
    assert site.answering() == "2"
    listed = {row["version"]: row for row in json.loads(models("list", "--json"))["versions"]}
    assert [listed[version]["fault"] for version in ("1", "2", "3")] == [None, None, None]
    for said in (listed["7"]["fault"], models("list")):
        assert "damaged" in said
        assert "`appliance models remove 7` removes it" in said
    spoil(site, 2)
    listed = {row["version"]: row for row in json.loads(models("list", "--json"))["versions"]}
    assert (listed["2"]["promoted"], listed["2"]["loaded"]) == (True, True)
    assert "promoted" in models("list")


def test_lost_files_of_a_version_in_use_are_replaced_only_by_those_of_the_same_network(
    site: Site, models: Callable[..., str], tmp_path: Path
) -> None:
    for version in (2, 3, 4, 5):
        site.bring(version)
    site.promote(2)
    site.promote(3)
    site.life.shadow(site.life.shelf.version("4"))
    site.life.load(site.life.shelf.version("5"))
    (site.settings.site_models / "hemorrhage_detector_2" / "configs" / "cpu.pbtxt").unlink()
    for version in (3, 4, 5):
        spoil(site, version)
    graph = onnx_model(most=0.3)
    helper.set_model_props(graph, {**contract.metadata(), "release": "another"})
    for version in (2, 3, 4, 5):
        there = site.settings.site_models / f"hemorrhage_detector_{version}" / str(version) / "model.onnx"
        was = there.read_bytes()
        another = write_release(tmp_path / f"another-{version}", version, model=graph.SerializeToString())
        assert f"another model is version {version} here" in models("load", str(another), ends=1)
        assert there.read_bytes() == was
    for version in (2, 3, 4, 5):
        models("load", str(tmp_path / f"release-{version}"))
    assert site.answering() == "3"


def test_the_number_of_a_version_that_only_triton_knows_is_not_taken_before_it_is_unloaded(site: Site) -> None:
    site.bring(2)
    (server,) = site.life.servers
    server.load("hemorrhage_detector_2")
    spoil(site, 2)
    with pytest.raises(ShelfError, match=r"`appliance models unload 2` first"):
        site.life.bring_in(site.folder / "release-2")
    site.life.unload(site.life.shelf.find("2"))
    until(lambda: "hemorrhage_detector_2" not in (site.life.list_loaded() or ()), "unloaded")
    assert site.life.bring_in(site.folder / "release-2").facts.version == "2"


def test_a_rollback_to_a_version_that_cannot_be_read_says_why(site: Site) -> None:
    for version in (2, 3):
        site.bring(version)
        site.promote(version)
    spoil(site, 2)
    with pytest.raises(ModelLifeError, match=r"version 2 .* damaged.*`appliance models load FOLDER` puts a sound copy"):
        site.life.rollback()
    assert site.answering() == "3"


def test_a_version_is_removed_on_demand_whether_it_can_be_read_or_not_and_who_did_it_is_kept(
    site: Site, models: Callable[..., str]
) -> None:
    for version in (2, 7):
        site.bring(version)
    spoil(site, 7)
    assert "remove" in models("remove", "7", ends=1, typed="n\n")
    assert (site.settings.site_models / "hemorrhage_detector_7").exists()
    models("remove", "7", "--by", "C. Engineer", typed="y\n")
    models("remove", "2", "--yes", "--by", "C. Engineer")
    assert [path.name for path in site.settings.site_models.iterdir()] == [".lock"]
    assert [(one.event.value, one.version, one.who) for one in site.life.changes()] == [
        ("removed", "7", "C. Engineer"),
        ("removed", "2", "C. Engineer"),
    ]
    told = [one for one in site.ledger.audit.entries() if one.event is AuditEvent.MODEL]
    assert [(one.who, one.details["change"], one.details["version"]) for one in told] == [
        ("C. Engineer", "removed", "7"),
        ("C. Engineer", "removed", "2"),
    ]


def test_a_version_that_came_with_the_appliance_may_answer_reads_or_is_loaded_is_not_removed(
    site: Site, models: Callable[..., str]
) -> None:
    for version in (2, 3, 4, 5, 6):
        site.bring(version)
    for version in (2, 3, 4):
        site.promote(version)
    site.life.shadow(site.life.shelf.version("5"))
    site.life.load(site.life.shelf.version("6"))
    spoil(site, 6)
    for version, why in (
        ("1", "came with the appliance"),
        ("4", "is promoted"),
        ("3", "promoted before"),
        ("2", "promoted before"),
        ("5", "is the shadow"),
        ("6", "`appliance models unload 6` frees its memory first"),
    ):
        assert why in models("remove", version, "--yes", ends=1)
    assert len(list(site.settings.site_models.glob("hemorrhage_detector_*"))) == 5
    models("unload", "6")
    until(lambda: "hemorrhage_detector_6" not in (site.life.list_loaded() or ()), "unloaded")
    models("remove", "6", "--yes")
    assert site.answering() == "4"


def judging_by(threshold: float) -> Settings:
    """Return settings of a site that has set the threshold of a finding."""
    settings = Settings()
    of_the_site = settings.finding.model_copy(update={"threshold": threshold})
    return settings.model_copy(update={"finding": of_the_site})


def test_a_rollback_to_a_version_with_another_threshold_than_the_sites_is_done_with_a_warning(
    tmp_path: Path,
) -> None:
    with closing(Site(tmp_path, judging_by(0.6))) as site:
        for version in (2, 3):
            site.bring(version, parameters={contract.PARAMETER_THRESHOLD: "0.6"})
            site.promote(version)
        file = write_settings(site.settings, tmp_path / "appliance.toml")
        judged = "finding.threshold in the settings is 0.6 and judges it, its own is 0.4"
        for back_to, warned in (("2", False), ("1", True)):
            done = CliRunner().invoke(app, ["models", "rollback", "--settings", str(file)], env={"COLUMNS": "200"})
            assert done.exit_code == 0, done.output
            assert (judged in done.stderr) is warned
            assert site.answering() == back_to
            assert (judged in site.life.changes()[-1].note) is warned


def test_a_version_that_the_threshold_of_the_settings_would_judge_is_promoted_only_with_a_reason(
    tmp_path: Path,
) -> None:
    with closing(Site(tmp_path, judging_by(0.4))) as site:
        site.bring(2, parameters={contract.PARAMETER_THRESHOLD: "0.21"})
        site.bring(3)
        with pytest.raises(ModelLifeError) as refused:
            site.promote(2)
        for part in ("finding.threshold in the settings is 0.4", "its own is 0.21", "Unset", "--anyway"):
            assert part in str(refused.value)
        assert "set it to" not in str(refused.value), "it would judge the version that answers until the promotion"
        assert events(site) == [], "a setting of the site is no fault of the version"
        rows = overview(site.life, [], None, 0.4)["versions"]
        assert [(row["threshold"], row["threshold_in_force"]) for row in rows] == [
            ("0.4", 0.4),
            ("0.21", 0.4),
            ("0.4", 0.4),
        ]
        assert [threshold_words(row) for row in rows] == ["0.4", "0.4 of the settings, its own 0.21", "0.4"]
        site.life.promote(site.life.shelf.version("2"), "measured on 300 studies")
        note = site.ledger.models.list_promoted()[0].note
        assert "settings is 0.4 and judges it, its own is 0.21, promoted anyway: measured on 300 studies" in note
        site.promote(3)
        assert site.answering() == "3"


def test_without_a_threshold_of_the_site_each_version_is_judged_by_its_own_and_the_list_shows_it(
    site: Site, models: Callable[..., str]
) -> None:
    site.bring(2, parameters={contract.PARAMETER_THRESHOLD: "0.21"})
    site.promote(2)
    rows = json.loads(models("list", "--json"))["versions"]
    assert [row["threshold_in_force"] for row in rows] == [0.4, 0.21]
    assert "0.21" in models("list")


@pytest.mark.parametrize("own", ["1.0", "0.50", "0.9808123"])
def test_the_list_speaks_of_a_setting_only_where_it_differs_from_the_versions_own_as_a_number(own: str) -> None:
    row = {"threshold_in_force": float(own), "threshold": own}
    assert threshold_words(row) == own
    assert threshold_words(row | {"threshold_in_force": 0.9808124}) == f"0.9808124 of the settings, its own {own}"
    assert threshold_words({"threshold_in_force": 0.4, "threshold": ""}) == "0.4 of the settings"


def test_a_version_is_proven_when_it_proved_itself_last_not_when_it_ceased_to_be_the_shadow(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.bring(2)
    site.life.shadow(site.life.shelf.version("2"))
    monkeypatch.setattr(site.life, "check_golden", failing(UnavailableError("Orthanc is away")))
    with pytest.raises(UnavailableError):
        site.promote(2)
    site.life.end_shadow()
    shadowed, *later = site.life.changes()
    assert [one.event.value for one in later] == ["shadow_ended", "failed", "shadowed", "shadow_ended"]
    (_, row) = overview(site.life, [shadowed, *(replace(one, at=one.at + 60) for one in later)], None, None)["versions"]
    assert row["proven"] == iso(shadowed.at)


def test_a_version_that_the_precision_gate_has_not_judged_is_loaded_and_promoted_with_a_warning(
    site: Site, models: Callable[..., str], tmp_path: Path
) -> None:
    release = write_release(tmp_path / "release", 2)
    assert "without the precision gate's verdict" in models("load", str(release))
    (site.settings.site_models / "hemorrhage_detector_2" / "2" / "precisions.json").write_text("{}")
    assert "verdict" not in models("promote", "2")


def test_programs_beside_the_service_read_with_the_promoted_version_and_without_a_ledger_with_the_shipped_one(
    site: Site, tmp_path: Path
) -> None:
    site.bring(2)
    site.promote(2)
    assert [one.served_as for one in targets_of(site.settings)] == ["hemorrhage_detector_2", "hemorrhage_detector"]
    elsewhere = site.settings.model_copy(update={"state_dir": tmp_path / "elsewhere"})
    assert [one.served_as for one in targets_of(elsewhere)] == ["hemorrhage_detector"]
    assert not (tmp_path / "elsewhere").exists()


def test_the_commands_load_promote_list_and_take_back_a_version_and_keep_who_did_it(site: Site, tmp_path: Path) -> None:
    file = write_settings(site.settings, tmp_path / "appliance.toml")
    release = write_release(tmp_path / "release", 2)

    def models(*arguments: str) -> str:
        done = CliRunner().invoke(app, ["models", *arguments, "--settings", str(file)], env={"COLUMNS": "200"})
        assert done.exit_code == 0, done.output
        return done.stdout

    models("load", str(release), "--by", "A. Radiographer")
    models("promote", "2", "--by", "B. Physicist")
    assert site.answering() == "2"
    listed = json.loads(models("list", "--json"))
    assert [(one["event"], one["version"], one["who"]) for one in listed["history"]] == [
        ("promoted", "2", "B. Physicist"),
        ("loaded", "2", "A. Radiographer"),
    ]
    assert listed["promoted"] == "2"
    assert all(one["at"].endswith("Z") for one in listed["history"])
    models("rollback")
    shown = models("list")
    assert "rolled back  version 1" in shown
    assert "B. Physicist" in shown


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["promote", "9"], "version 9 is not there"),
        (["promote", "1"], "version 1 answers already"),
        (["rollback"], "no version was promoted"),
        (["load", "no-such-folder"], "version no-such-folder is not there"),
        (["unload", "1"], "stays loaded"),
    ],
)
def test_a_command_that_cannot_be_done_says_why_in_a_sentence_and_ends_with_1(
    site: Site, tmp_path: Path, arguments: list[str], why: str
) -> None:
    file = write_settings(site.settings, tmp_path / "appliance.toml")
    done = CliRunner().invoke(app, ["models", *arguments, "--settings", str(file)])
    assert done.exit_code == 1
    assert why in done.stderr
    assert "Traceback" not in done.output


def test_the_shadow_is_another_version_than_the_one_that_answers_and_ends_when_it_is_promoted(site: Site) -> None:
    with pytest.raises(ModelLifeError, match="version 1 answers"):
        site.life.shadow(site.life.shelf.version("1"))
    site.bring(2)
    site.life.shadow(site.life.shelf.version("2"))
    with pytest.raises(ModelLifeError, match="is the shadow already"):
        site.life.shadow(site.life.shelf.version("2"))
    with pytest.raises(ModelLifeError, match="stays loaded"):
        site.life.unload(site.life.shelf.version("2"))
    assert site.answering() == "1"
    site.promote(2)
    assert site.ledger.models.shadow() is None
    with pytest.raises(ModelLifeError, match="no version is the shadow"):
        site.life.end_shadow()


def test_a_shadow_that_is_promoted_answers_from_a_process_that_gives_way_to_nothing(site: Site) -> None:
    site.bring(2)
    site.life.shadow(site.life.shelf.version("2"))
    prefix = region_prefix(site.settings.triton)
    (process,) = processes_of_model(prefix, "hemorrhage_detector_2")
    give_way_on_the_processor([process])
    assert gives_way([process])
    threads = list(Path(f"/proc/{process}/task").iterdir())
    assert {os.sched_getscheduler(int(thread.name)) for thread in threads} == {os.SCHED_IDLE}
    site.promote(2)
    assert site.answering() == "2"
    (fresh,) = processes_of_model(prefix, "hemorrhage_detector_2")
    assert fresh != process
    assert not gives_way([fresh])
    assert not gives_way(processes_of_model(prefix, "hemorrhage_detector"))


def test_commands_about_versions_make_no_ledger(tmp_path: Path) -> None:
    write_repository(tmp_path / "shipped", parameters={contract.PARAMETER_MODEL_VERSION: "1"})
    settings = Settings(state_dir=tmp_path / "state", triton=triton_settings(tmp_path / "shipped"))
    file = write_settings(settings, tmp_path / "appliance.toml")
    done = CliRunner().invoke(app, ["models", "list", "--settings", str(file)])
    assert done.exit_code == 1
    assert "start the service first" in done.stderr
    assert not (tmp_path / "state").exists()
