# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Proves what surrounds NVIDIA's Triton, with a stand-in for its program: there is no GPU here."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from appliance.errors import SettingsError, UnavailableError
from appliance.reading.contract import DETECTOR
from appliance.settings import Settings
from deploy.containers.keep_triton_nvidia import NvidiaTriton, build_engine, lay_out_models

ROOT = Path(__file__).resolve().parents[3]


def test_an_engine_that_was_built_here_stays_when_a_newer_image_brings_its_models(tmp_path):
    shipped, served = tmp_path / "shipped", tmp_path / "served"
    version = Path(DETECTOR) / "1"
    for folder, text in ((shipped, "new"), (served, "old")):
        (folder / version).mkdir(parents=True)
        (folder / version / "model.onnx").write_text(text)
    (shipped / version / "model.plan").write_text("of another GPU")
    (served / version / "model.plan").write_text("built here")
    lay_out_models(shipped, served)
    assert (served / version / "model.onnx").read_text() == "new"
    assert (served / version / "model.plan").read_text() == "built here"
    assert not list(served.rglob("*.new"))


def test_a_failed_build_stops_the_start(tmp_path):
    builder = tmp_path / "python"
    builder.write_text('#!/bin/sh\n[ "$3" = engine ] && [ -f "$5" ]\n')
    builder.chmod(0o755)
    with pytest.raises(UnavailableError, match="no engine for this GPU"):
        build_engine(builder, tmp_path)
    (tmp_path / DETECTOR / "1").mkdir(parents=True)
    (tmp_path / DETECTOR / "1" / "model.onnx").write_text("")
    build_engine(builder, tmp_path)


def nvidia_triton(tmp_path, **triton):
    settings = Settings().triton.model_copy(
        update={"profile": "gpu", "model_repository": ROOT / "model_repository", "secret": "word", **triton}
    )
    made = NvidiaTriton(settings, tmp_path / "state", site_models=tmp_path / "models")
    made.server = tmp_path / "tritonserver"
    return made


def test_nvidias_server_gets_the_options_of_the_one_for_a_cpu(tmp_path):
    server = nvidia_triton(tmp_path)
    with pytest.raises(SettingsError, match="holds no tritonserver"):
        server.check()
    program = tmp_path / "tritonserver/bin/tritonserver"
    program.parent.mkdir(parents=True)
    program.write_text("")
    command = server._command(server.check(), server._link_backends(server.check()))
    assert command[0] == str(program)
    assert f"--backend-directory={tmp_path / 'tritonserver/backends'}" in command
    assert "--model-config-name=gpu" in command
    assert "--grpc-address=127.0.0.1" in command
    assert any(option.startswith("--grpc-restricted-protocol=") for option in command)
    assert f"--load-model={DETECTOR}" in command


def test_it_starts_on_its_own_machine_alone(tmp_path):
    with pytest.raises(SettingsError, match=r"triton\.host"):
        nvidia_triton(tmp_path, host="10.0.0.7").check()


def test_no_python_of_ours_and_no_secret_gets_into_nvidias_server(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    monkeypatch.setenv("APPLIANCE_SECRETS", "/run/secrets")
    environment = nvidia_triton(tmp_path)._environment(Path(sys.prefix))
    assert not [name for name in environment if name.startswith(("PYTHON", "APPLIANCE_"))]
