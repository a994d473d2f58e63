# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from appliance.cli import app
from appliance.reading import contract
from appliance.sections.triton import TritonSettings
from appliance.settings import Settings
from deploy.local.settings_file import write_settings
from tests.appliance.inference.blob_detector import write_repository


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
