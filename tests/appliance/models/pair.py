# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A site with two Tritons, the second of which stands in for the first."""

from __future__ import annotations

from pathlib import Path

from appliance.inference.server import TritonServer
from appliance.models.shelf import Shelf
from appliance.settings import Settings
from tests.appliance.inference.ports import triton_settings
from tests.appliance.models.released import write_release
from tests.appliance.models.site import Site


class Pair(Site):
    """A site with a second Triton, which is not started yet and has a folder of versions of its own."""

    def __init__(self, folder: Path) -> None:
        spare = self.spare_settings = triton_settings(folder / "shipped")
        self.spare_models = folder / "spare-models"
        super().__init__(folder, triton={"others": (f"127.0.0.1:{spare.grpc_port}",)})
        self.spare = TritonServer(spare, folder / "spare", site_models=self.spare_models)
        self.addresses = [f"127.0.0.1:{one.grpc_port}" for one in (self.settings.triton, spare)]

    def bring_to_spare(self, version: int) -> None:
        """Bring a version to the second Triton's folder too."""
        settings = Settings(state_dir=self.folder / "spare-state", triton=self.spare_settings)
        own = settings.triton.model_copy(update={"site_models": self.spare_models})
        release = write_release(self.folder / f"spare-release-{version}", version)
        Shelf(settings.model_copy(update={"triton": own})).bring_in(release)

    def loaded(self) -> list[set[str] | None]:
        return [server.list_loaded() for server in self.life.servers]

    def close(self) -> None:
        super().close()
        self.spare.stop()
