# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from appliance.cli import app
from appliance.doctor.model import check_tensorrt
from appliance.models.build import build, engine_rows
from appliance.models.life import ModelLife, ModelLifeError
from appliance.models.shelf import Shelf
from appliance.reading import contract
from appliance.reading.gpu import Gpu, present_gpus
from appliance.sections.triton import TritonSettings
from appliance.settings import Settings
from deploy.local.settings_file import write_settings
from tests.appliance.inference.blob_detector import write_repository
from tests.appliance.ledger.new_ledger import ledger_in
from tests.appliance.models.released import write_release


def test_without_a_gpu_the_build_says_so_in_one_sentence_and_ends_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    write_repository(tmp_path / "models", parameters={contract.PARAMETER_MODEL_VERSION: "1"})
    settings = Settings(state_dir=tmp_path / "state", triton=TritonSettings(model_repository=tmp_path / "models"))
    file = write_settings(settings, tmp_path / "appliance.toml")
    done = CliRunner().invoke(app, ["models", "build", "--settings", str(file)])
    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1
    assert "no GPU" in done.stderr
    assert "podman-compose exec triton appliance models build" in done.stderr, "the container of the service has none"
    assert not list((tmp_path / "models").rglob("*.plan"))


def test_a_gpu_that_its_driver_does_not_name_ends_the_build_and_leaves_no_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho No devices were found\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    write_repository(tmp_path / "models", parameters={contract.PARAMETER_MODEL_VERSION: "1"})
    settings = Settings(state_dir=tmp_path / "state", triton=TritonSettings(model_repository=tmp_path / "models"))
    file = write_settings(settings, tmp_path / "appliance.toml")
    done = CliRunner().invoke(app, ["models", "build", "--settings", str(file)])
    assert done.exit_code == 1
    assert "names no GPU" in capfd.readouterr().err
    assert not list((tmp_path / "models").rglob("*.plan"))


BUILDER = Path(__file__).parents[3] / ".venv-engines" / "bin" / "python"
REPOSITORY = Path(__file__).parents[3] / "model_repository"
GPU = Gpu("NVIDIA RTX A2000", "8.6", "550.54")


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that names a GPU; there is none."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\necho {GPU.name}, {GPU.capability}, {GPU.driver}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


def gpu_settings(folder: Path) -> Settings:
    """Return the settings of a GPU site with a copy of the shipped detector."""
    shutil.copytree(REPOSITORY / contract.DETECTOR, folder / contract.DETECTOR)
    triton = TritonSettings(model_repository=folder, profile="gpu")
    return Settings(state_dir=folder / "state", triton=triton)


@pytest.mark.skipif(not BUILDER.exists(), reason="needs the environment for engines")
def test_the_real_builder_builds_the_shipped_version_and_the_table_says_from_what(tmp_path: Path, driver: None) -> None:
    settings = gpu_settings(tmp_path / "models")
    model = Shelf(settings).find_shipped()
    # TensorRT-RTX builds for a GPU that is not here; such an engine cannot be compared.
    facts = build(model, ["--runtime", "tensorrt_rtx", "--capability", "8.6"], BUILDER)
    assert facts["key"]["onnx_sha256"] == model.facts.sha256
    rows = dict(engine_rows(model.place, facts))
    assert rows["GPU"].endswith("compute capability 8.6, driver any")
    assert rows["from"].endswith(f"sha256 {model.facts.sha256[:12]}…")
    assert rows["by"].startswith("tensorrt_rtx ")
    assert rows["compared"] == "no"
    assert rows["precision gate"].startswith("it was not judged")
    assert build(model, ["--runtime", "tensorrt_rtx", "--capability", "8.6"], BUILDER) == facts, "built twice"
    check = check_tensorrt(settings, contract.DETECTOR, [])
    assert check.state == "warn"
    assert "was not compared with ONNX Runtime" in check.what


def test_a_python_without_the_builders_packages_says_which_setting_names_another(
    tmp_path: Path, driver: None, capfd: pytest.CaptureFixture[str]
) -> None:
    """As in the image of NVIDIA's Triton, where the Python of the service has no `onnx`."""
    import sys

    builder = tmp_path / "python"
    builder.write_text(f'#!/bin/sh\nshift 2; exec {sys.executable} {tmp_path}/without_onnx.py "$@"\n')
    builder.chmod(0o755)
    (tmp_path / "without_onnx.py").write_text(
        f"import sys\nsys.path.insert(0, {str(REPOSITORY.parent)!r})\n"
        "class Missing:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'onnx':\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "from conversion.__main__ import main\nsys.exit(main())\n"
    )
    settings = gpu_settings(tmp_path / "models")
    changed = {"triton": settings.triton.model_copy(update={"builder": builder})}
    file = write_settings(settings.model_copy(update=changed), tmp_path / "appliance.toml")
    done = CliRunner().invoke(app, ["models", "build", "--settings", str(file)])
    said = capfd.readouterr().err
    assert done.exit_code == 1
    assert "Traceback" not in said
    assert "onnx is not installed" in said
    assert "triton.builder" in said
    assert "no engine was built for version 1; why not stands above" in done.stderr


def test_a_builder_that_is_no_program_is_a_setting_to_correct(tmp_path: Path, driver: None) -> None:
    settings = gpu_settings(tmp_path / "models")
    changed = {"triton": settings.triton.model_copy(update={"builder": tmp_path / "nothing"})}
    file = write_settings(settings.model_copy(update=changed), tmp_path / "appliance.toml")
    done = CliRunner().invoke(app, ["models", "build", "--settings", str(file)])
    assert done.exit_code == 1
    assert f"triton.builder = {tmp_path / 'nothing'} does not run (No such file" in done.stderr


def write_engine(settings: Settings, **changed: object) -> None:
    """Write an engine and what `conversion` says of one that was built and compared at this site."""
    model = Shelf(settings).find_shipped()
    key = {
        "onnx_sha256": model.facts.sha256,
        "runtime": "tensorrt",
        "runtime_version": "11.0.0",
        "gpu": GPU.name,
        "capability": GPU.capability,
        "driver": GPU.driver,
        "options": {"precision": "fp16", "optimisation": 3, "workspace_mib": 1024},
    }
    compared = {"with": "onnxruntime", "chunks": 3, "scores_apart": 0.01, "when": "2026-05-02T10:00:00+00:00"}
    facts = {"key": key | changed, "built": "2026-05-01T10:00:00+00:00", "seconds": 43.2, "compared": compared}
    (model.place / "model.plan").write_bytes(b"engine")
    (model.place / "model.plan.json").write_text(json.dumps(facts))


def test_the_doctor_says_which_gpu_runs_which_engine_from_which_file_and_when_it_was_compared(
    tmp_path: Path, driver: None
) -> None:
    settings = gpu_settings(tmp_path / "models")
    assert present_gpus() == [GPU]
    write_engine(settings)
    check = check_tensorrt(settings, contract.DETECTOR, present_gpus())
    assert check.state == "ok"
    for part in ("RTX A2000", "8.6", "550.54", "fp16", "tensorrt 11.0.0", "in 43 s", "2026-05-02", "3 chunks"):
        assert part in check.what
    assert Shelf(settings).find_shipped().facts.sha256[:12] in check.what


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"onnx_sha256": "f" * 64}, "from another file"),
        (
            {"gpu": "NVIDIA L4", "capability": "8.9"},
            "built for NVIDIA L4 with driver 550.54, and here is NVIDIA RTX",
        ),
        ({"driver": "560.1"}, "with driver 560.1, and here is"),
    ],
)
def test_the_doctor_warns_of_an_engine_of_another_file_gpu_or_driver_and_says_how_to_build_it(
    tmp_path: Path, changed: dict[str, object], said: str
) -> None:
    settings = gpu_settings(tmp_path / "models")
    write_engine(settings, **changed)
    check = check_tensorrt(settings, contract.DETECTOR, [GPU])
    assert check.state == "warn"
    assert said in check.what
    assert "appliance models build 1" in check.remedy


def test_the_doctor_warns_of_an_engine_whose_graph_failed_the_precision_gate(tmp_path: Path) -> None:
    settings = gpu_settings(tmp_path / "models")
    write_engine(settings)
    file = Shelf(settings).find_shipped().place / "model.plan.json"
    verdict = {"gate": "AUC falls by 0.0100, more than 0.002", "gate_failed": True}
    file.write_text(json.dumps(json.loads(file.read_text()) | verdict))
    check = check_tensorrt(settings, contract.DETECTOR, [GPU])
    assert check.state == "warn"
    assert "its graph failed the precision gate: AUC falls by 0.0100, more than 0.002" in check.what


def test_the_doctor_warns_of_an_engine_of_which_nothing_is_known(tmp_path: Path) -> None:
    settings = gpu_settings(tmp_path / "models")
    (Shelf(settings).find_shipped().place / "model.plan").write_bytes(b"engine")
    check = check_tensorrt(settings, contract.DETECTOR, [GPU])
    assert (check.state, "nothing says" in check.what) == ("warn", True)


@pytest.mark.parametrize(
    ("changed", "facts", "said"),
    [
        ({}, {"compared": None}, "was not compared with ONNX Runtime"),
        ({"onnx_sha256": "f" * 64}, {}, "built from another file"),
        ({"gpu": "NVIDIA L4", "capability": "8.9"}, {}, "built for NVIDIA L4"),
    ],
)
def test_a_version_whose_engine_is_not_the_right_one_is_not_loaded_and_the_command_to_build_it_is_named(
    tmp_path: Path, driver: None, changed: dict[str, object], facts: dict[str, object], said: str
) -> None:
    settings = gpu_settings(tmp_path / "models")
    write_engine(settings, **changed)
    model = Shelf(settings).find_shipped()
    written = model.place / "model.plan.json"
    written.write_text(json.dumps(json.loads(written.read_text()) | facts))
    with closing(ledger_in(tmp_path / "ledger.sqlite")) as ledger:
        with pytest.raises(ModelLifeError, match=said) as refused:
            ModelLife(settings, ledger, "a tester").load(model)
        assert ledger.models.changes() == []
    assert "`appliance models build 1` makes it" in str(refused.value)


def test_an_engine_that_was_built_elsewhere_does_not_come_with_a_version(tmp_path: Path) -> None:
    write_repository(tmp_path / "models", parameters={contract.PARAMETER_MODEL_VERSION: "1"})
    settings = Settings(state_dir=tmp_path / "state", triton=TritonSettings(model_repository=tmp_path / "models"))
    release = write_release(tmp_path / "release", 2)
    for name in ("model.plan", "model.plan.json", "model.timing"):
        (release / contract.DETECTOR / "2" / name).write_bytes(b"of another machine")
    brought = Shelf(settings).bring_in(release)
    assert sorted(path.name for path in brought.place.glob("model*")) == ["model.onnx", "model.py"]
