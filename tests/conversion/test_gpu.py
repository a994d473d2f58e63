# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from conversion.gpu import Gpu, NoGpuError, first_gpu, present_gpu


def test_the_first_gpu_is_taken_whatever_its_name_holds() -> None:
    said = "NVIDIA H100 80GB, HBM3, 9.0, 550.54.15\nTesla T4, 7.5, 550.54.15\n"
    assert first_gpu(said) == Gpu("NVIDIA H100 80GB, HBM3", "9.0", "550.54.15")


@pytest.mark.parametrize("said", ["", "No devices were found\n", "NVIDIA-SMI has failed because it couldn't, talk\n"])
def test_a_driver_that_names_no_gpu_is_told(said: str) -> None:
    with pytest.raises(NoGpuError, match="names no GPU"):
        first_gpu(said)


def test_a_machine_without_the_driver_is_told_the_way_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoGpuError, match="--capability"):
        present_gpu()
