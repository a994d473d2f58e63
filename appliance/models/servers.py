# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The Tritons of a site (`triton.host` and `triton.others`), each by itself: what it has loaded and is to load."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from appliance.errors import ApplianceError
from appliance.inference.client import CONTROL_TIMEOUT_S, LOAD_TIMEOUT_S, endpoints, triton_client
from appliance.inference.lanes import AWAY
from appliance.inference.regions import close_regions, processes_of_model, region_prefix
from appliance.sections.triton import TritonSettings

_CHANNEL: Final = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]


class ServerError(ApplianceError):
    """A Triton refuses what it is asked for."""


class AwayError(ServerError):
    """A Triton does not answer."""


@dataclass(frozen=True)
class Server:
    """One Triton; `settings` are its own, without the others."""

    settings: TritonSettings

    @property
    def address(self) -> str:
        """Host and gRPC port."""
        return f"{self.settings.host}:{self.settings.grpc_port}"

    def list_loaded(self) -> set[str] | None:
        """Return the names of the models that it serves now, None when it does not answer."""
        try:
            with self._client() as client:
                index = client.get_model_repository_index(client_timeout=CONTROL_TIMEOUT_S)
                return {model.name for model in index.models if model.state == "READY"}
        except ServerError:
            return None

    def load(self, served_as: str) -> None:
        """Have it load a model. Raises `ServerError`."""
        with self._client() as client:
            client.load_model(served_as, client_timeout=LOAD_TIMEOUT_S)
            close_regions(self.settings)

    def unload(self, served_as: str) -> None:
        """Have it free the memory of a model. Raises `ServerError`."""
        with self._client() as client:
            client.unload_model(served_as, client_timeout=LOAD_TIMEOUT_S)

    def processes(self, served_as: str) -> list[int]:
        """Return the process ids of a model's processes, if they run on this machine."""
        return processes_of_model(region_prefix(self.settings), served_as)

    @contextmanager
    def _client(self) -> Iterator[InferenceServerClient]:
        """Yield a client; Triton's refusals become `ServerError`."""
        client = triton_client(self.settings, _CHANNEL)
        try:
            yield client
        except InferenceServerException as error:
            said = str(error.message()).strip().partition("\n")[0]
            if error.status() in AWAY:
                raise AwayError(f"Triton at {self.address} does not answer: {said}") from error
            raise ServerError(f"Triton at {self.address}: {said}") from error
        finally:
            client.close()


def servers(settings: TritonSettings) -> tuple[Server, ...]:
    """Return the Tritons of the settings, the preferred one first."""
    return tuple(Server(one.model_copy(update={"others": ()})) for one in endpoints(settings))
