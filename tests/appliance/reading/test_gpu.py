# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from appliance.reading.gpu import Gpu, NoGpuError, gpus_in, present_gpus


def test_every_gpu_is_named_whatever_its_name_holds() -> None:
    told = "NVIDIA H100 80GB, HBM3, 9.0, 550.54.15\nTesla T4, 7.5, 550.54.15\n"
    assert gpus_in(told) == [Gpu("NVIDIA H100 80GB, HBM3", "9.0", "550.54.15"), Gpu("Tesla T4", "7.5", "550.54.15")]


@pytest.mark.parametrize("told", ["", "No devices were found\n", "NVIDIA-SMI has failed because it couldn't, talk\n"])
def test_a_driver_that_names_no_gpu_is_told(told: str) -> None:
    with pytest.raises(NoGpuError, match="names no GPU"):
        gpus_in(told)


def test_a_machine_without_the_driver_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoGpuError, match="nvidia-smi is not there"):
        present_gpus()


@pytest.mark.parametrize(("tool", "mode"), [("#!/bin/sh\nexit 9\n", 0o755), ("", 0o644)], ids=["fails", "no program"])
def test_a_driver_that_does_not_answer_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tool: str, mode: int
) -> None:
    (tmp_path / "nvidia-smi").write_text(tool)
    (tmp_path / "nvidia-smi").chmod(mode)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoGpuError, match="does not answer"):
        present_gpus()
