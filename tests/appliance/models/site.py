# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A site with versions of the small detector: a real Triton, a ledger, and a detector as the service has it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from appliance.inference.client import triton_client
from appliance.inference.detections import Reading
from appliance.inference.detector import TritonDetector
from appliance.inference.server import TritonServer
from appliance.models.life import ModelLife
from appliance.models.standing import targets
from appliance.reading import contract
from appliance.settings import Settings
from deploy.local.ports import free_ports
from tests.appliance.inference.blob_detector import write_repository
from tests.appliance.inference.ports import triton_settings
from tests.appliance.ledger.new_ledger import ledger_in
from tests.appliance.models.released import write_release


class Site:
    """A Triton with the shipped small detector, a ledger, and a detector that follows what is promoted.

    `others` has the settings of everything else, `triton` changes those of Triton.
    """

    def __init__(self, folder: Path, others: Settings | None = None, triton: dict[str, Any] | None = None) -> None:
        self.folder = folder
        write_repository(folder / "shipped", parameters={contract.PARAMETER_MODEL_VERSION: "1"})
        triton_of_it = triton_settings(folder / "shipped", **(triton or {}))
        (port,) = free_ports(1)
        settings = others or Settings()
        service = settings.service.model_copy(update={"port": port})
        own = {"state_dir": folder / "state", "triton": triton_of_it, "service": service}
        self.settings = settings.model_copy(update=own)
        self.server = TritonServer(triton_of_it, folder / "triton", site_models=self.settings.site_models)
        self.server.start()
        self.ledger = ledger_in(self.settings.state_dir / "ledger.sqlite")
        self.life = ModelLife(self.settings, self.ledger, "a tester")
        self.detector = TritonDetector(triton_of_it, targets=lambda: targets(self.ledger.models.list_promoted()))

    def bring(self, version: int, **of_release: object) -> str:
        """Bring a version in, without loading it; return its sha256."""
        release = write_release(self.folder / f"release-{version}", version, **of_release)  # type: ignore[arg-type]
        return self.life.shelf.bring_in(release).facts.sha256

    def promote(self, version: int) -> None:
        self.life.promote(self.life.shelf.version(str(version)))

    def upgrade(self, version: int) -> str:
        """Bring other shipped weights, as an upgrade does, start Triton anew, and return their sha256."""
        self.server.stop()
        place = self.settings.triton.model_repository
        shutil.rmtree(place)
        write_release(place, version)
        self.server.start()
        return self.life.shelf.find_shipped().facts.sha256

    def read(self, slices: int = 4, go_on: Callable[[], bool] | None = None) -> Reading:
        hu = np.full((slices, 512, 512), 33, np.int16)
        hu[:, 32:144, 32:144] = 66
        return self.detector.read(hu, go_on)

    def answering(self) -> str:
        """Return the version that reads the next study."""
        return self.read().model.version

    def count_requests(self, version: str) -> int:
        """Return how many chunks a version has answered."""
        served_as = self.life.shelf.version(version).facts.served_as
        with closing(triton_client(self.settings.triton, [])) as client:
            (said,) = client.get_inference_statistics(served_as).model_stats
        return int(said.inference_count)

    def close(self) -> None:
        self.detector.close()
        self.ledger.close()
        self.server.stop()
