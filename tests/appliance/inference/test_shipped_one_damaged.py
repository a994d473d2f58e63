# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The detector that came with the appliance does not load, and a version that the site promoted is sound."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np

from appliance.inference.detector import TritonDetector
from appliance.models.standing import targets_of
from appliance.reading.contract import DETECTOR
from tests.appliance.models.site import Site


def test_a_promoted_version_answers_while_the_shipped_one_does_not_load(tmp_path: Path) -> None:
    site = Site(tmp_path)
    try:
        site.bring(2)
        site.promote(2)
        site.bring(3, model=b"no network")
        site.server.stop()
        (site.settings.triton.model_repository / DETECTOR / "1" / "model.onnx").write_bytes(b"not a model")
        site.server.start()
        assert site.life.list_loaded() == {f"{DETECTOR}_2"}
        with closing(TritonDetector(site.settings.triton, targets=lambda: targets_of(site.settings))) as detector:
            assert detector.check_readiness()
            assert detector.read(np.full((4, 512, 512), 33, np.int16)).model.version == "2"
    finally:
        site.close()
