# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Proves what surrounds NVIDIA's Triton, with a stand-in for its program: there is no GPU here."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from appliance.errors import SettingsError, UnavailableError
from appliance.reading.contract import DETECTOR
from appliance.settings import Settings
from deploy.containers.keep_triton_nvidia import NvidiaTriton, lay_out_models, settle_engines

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


@pytest.fixture
def builder(tmp_path):
    """A stand-in for the builder: it notes its options and builds, unless the ONNX file says `refused`."""
    program = tmp_path / "python"
    program.write_text(
        "#!/bin/sh\n"
        f'shift 2; echo "$@" >>"{tmp_path}/calls"\n'
        '[ "$1" = engine ] && grep -q sound "$3" || exit 1\n'
        'folder=$(dirname "$3"); [ -f "$folder/model.plan" ] || echo built >"$folder/model.plan"\n'
    )
    program.chmod(0o755)
    return program


def version_folder(folder, model, plan=""):
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_text(model)
    if plan:
        (folder / "model.plan").write_text(plan)
    return folder


def test_without_any_engine_nothing_starts(tmp_path, builder):
    served, site = tmp_path / "served", tmp_path / "site"
    shipped = version_folder(served / DETECTOR / "1", "refused", plan="of the file before")
    version_folder(site / f"{DETECTOR}_2" / "2", "sound")
    with pytest.raises(UnavailableError, match="no engine for this GPU"):
        settle_engines(builder, served, site)
    assert not (shipped / "model.plan").exists(), "it is of another file, and Triton would load it"
    assert not (site / f"{DETECTOR}_2" / "2" / "model.plan").exists(), "the site has not had this one built yet"


def test_a_version_of_the_site_is_served_while_the_shipped_one_gets_no_engine(tmp_path, builder, capfd):
    served, site = tmp_path / "served", tmp_path / "site"
    shipped = version_folder(served / DETECTOR / "1", "refused", plan="of the file before")
    second = version_folder(site / f"{DETECTOR}_2" / "2", "sound", plan="of the TensorRT before")
    settle_engines(builder, served, site)
    assert not (shipped / "model.plan").exists()
    assert (second / "model.plan").exists()
    assert f"{shipped} is not served on this GPU" in capfd.readouterr().err
    (shipped / "model.onnx").write_text("sound")
    settle_engines(builder, served, site)
    assert (shipped / "model.plan").read_text() == "of the file before", "what is right after all is not built anew"


def test_the_engine_of_every_version_is_settled_with_the_options_it_was_built_with(tmp_path, builder):
    served, site = tmp_path / "served", tmp_path / "site"
    shipped = version_folder(served / DETECTOR / "1", "sound")
    second = version_folder(site / f"{DETECTOR}_2" / "2", "sound", plan="built here")
    options = {"precision": "fp32", "optimisation": 5, "workspace_mib": 1024}
    (second / "model.plan.json").write_text(json.dumps({"key": {"options": options}}))
    settle_engines(builder, served, site)
    assert (tmp_path / "calls").read_text().splitlines() == [
        f"engine --onnx {shipped / 'model.onnx'}",
        f"engine --onnx {second / 'model.onnx'} --precision=fp32 --optimisation=5 --workspace-mib=1024",
    ]


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
