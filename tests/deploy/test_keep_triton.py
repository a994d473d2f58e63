# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whoever keeps Triton, `make up` or a systemd unit: it serves what loads, and ends with the reason if nothing does."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from appliance.models.shelf import Shelf
from appliance.reading.contract import DETECTOR
from appliance.settings import Settings
from deploy.local.settings_file import write_settings
from tests.appliance.inference.blob_detector import write_repository
from tests.appliance.inference.ports import triton_settings
from tests.appliance.models.released import write_release

ROOT = Path(__file__).resolve().parents[2]
LONGEST_S = 180.0


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a Triton that does not run yet."""
    write_repository(tmp_path / "models")
    return Settings(triton=triton_settings(tmp_path / "models"), state_dir=tmp_path / "state")


@pytest.fixture(params=["deploy.local.keep_triton", "deploy.install.keep_triton"])
def command(request: pytest.FixtureRequest, settings: Settings, tmp_path: Path) -> tuple[list[str], dict[str, str]]:
    """The command of a keeper, and its environment."""
    file = str(write_settings(settings, tmp_path / "appliance.toml"))
    named = [file] if request.param == "deploy.local.keep_triton" else []
    return [sys.executable, "-m", request.param, *named], {**os.environ, "APPLIANCE_SETTINGS": file}


def damage_the_shipped_one(settings: Settings) -> None:
    (settings.triton.model_repository / DETECTOR / "1" / "model.onnx").write_bytes(b"not a model")


def is_ready(settings: Settings, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", settings.triton.http_port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def test_a_keeper_whose_triton_loads_no_version_ends_and_says_so(
    command: tuple[list[str], dict[str, str]], settings: Settings
) -> None:
    damage_the_shipped_one(settings)
    arguments, environment = command
    done = subprocess.run(arguments, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"tritonserver loads no version of the detector: {DETECTOR}: " in done.stderr


def test_a_keeper_keeps_a_triton_that_loads_a_version_of_the_site_alone(
    command: tuple[list[str], dict[str, str]], settings: Settings, tmp_path: Path
) -> None:
    Shelf(settings).bring_in(write_release(tmp_path / "release", 2))
    damage_the_shipped_one(settings)
    arguments, environment = command
    with subprocess.Popen(arguments, cwd=ROOT, env=environment) as keeper:
        end = time.monotonic() + LONGEST_S
        while not is_ready(settings, f"/v2/models/{DETECTOR}_2/ready") and keeper.poll() is None:
            assert time.monotonic() < end
            time.sleep(0.1)
        assert keeper.poll() is None
        assert is_ready(settings, "/v2/health/ready")
        keeper.terminate()
        assert keeper.wait() == 0
