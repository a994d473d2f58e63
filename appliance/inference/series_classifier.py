# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Asks the series classifier in Triton what series look like. It helps to choose a series; nothing waits for it.

If anything goes wrong (no Triton, no such model, one of another contract, no answer in time) there is no answer and a
line in the log, and for a while no further question. Meanwhile headers choose the series, which shows in that their
reasons have no sentence about the images. If Triton runs without the model, a background thread asks it to load it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import numpy as np
import structlog
from numpy.typing import NDArray
from tritonclient.grpc import InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from appliance.inference.client import triton_client
from appliance.inference.regions import close_regions
from appliance.reading import series
from appliance.sections.triton import TritonSettings

TIMEOUT_S: Final = 0.5
"""How long one question may take; an answer takes some 0.02 s."""
PAUSE_S: Final = 20.0
"""The pause in questions after a fault, s."""
_LOAD_TIMEOUT_S: Final = 60.0
_CHANNEL: Final = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
_GONE: Final = ("StatusCode.NOT_FOUND", "StatusCode.UNAVAILABLE", "StatusCode.INTERNAL")


class _UnfitError(Exception):
    """The served model has another contract, or gave an impossible answer."""


class SeriesClassifier:
    """A connection to the series classifier; made even when Triton is not running, and used by several threads.

    Parameters
    ----------
    settings: where Triton is.
    clock: monotonic seconds.
    """

    def __init__(self, settings: TritonSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._address = f"{settings.host}:{settings.grpc_port}"
        self._clock = clock
        self._lock = threading.Lock()
        self._log = structlog.get_logger("series classifier")
        self._client = triton_client(self._settings, _CHANNEL)
        self._checked = False
        self._silent_until = float("-inf")
        self._fault = ""
        self._faults = 0
        self._loading: threading.Thread | None = None

    def is_there(self) -> bool:
        """Return whether Triton serves a model of this contract; ask if that is not known; never raises."""
        if self._checked:
            return True
        if not self._lock.acquire(timeout=TIMEOUT_S):
            return False
        try:
            if self._clock() < self._silent_until:
                return False
            self._check()
        except (InferenceServerException, _UnfitError) as error:
            self._note_fault(error)
            return False
        finally:
            self._lock.release()
        return True

    def classify(self, thumbnails: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """Return the probabilities float32 [N, classes] for thumbnails [N, *INPUT_SHAPE]; None when there is no answer.

        Never raises.
        """
        if not self._lock.acquire(timeout=TIMEOUT_S):
            return None
        try:
            if self._clock() < self._silent_until:
                return None
            try:
                probabilities = self._ask(thumbnails)
            except (InferenceServerException, _UnfitError) as error:
                self._note_fault(error)
                return None
            if self._fault:
                self._log.info("the series classifier answers again")
            self._fault, self._faults = "", 0
            return probabilities
        finally:
            self._lock.release()

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._client.close()

    def _ask(self, thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
        if not self._checked:
            self._check()
        tensor = InferInput(series.INPUT, thumbnails.shape, "UINT8").set_data_from_numpy(thumbnails)
        result = self._client.infer(
            series.CLASSIFIER,
            [tensor],
            outputs=[InferRequestedOutput(series.OUTPUT)],
            client_timeout=TIMEOUT_S,
        )
        found = result.as_numpy(series.OUTPUT)
        wanted = (len(thumbnails), len(series.CLASSES))
        if found is None or found.shape != wanted or not np.isfinite(found).all() or found.min() < 0:
            raise _UnfitError(f"it answered with broken tensors ({None if found is None else found.shape})")
        return np.asarray(found, np.float32)

    def _check(self) -> None:
        """Raise `_UnfitError` when the served model is of another contract."""
        config = self._client.get_model_config(series.CLASSIFIER, client_timeout=TIMEOUT_S).config
        said = {name: value.string_value for name, value in config.parameters.items()}
        differences = [
            f"{name} is {said.get(name)!r}, not {value!r}"
            for name, value in series.metadata().items()
            if said.get(name) != value
        ]
        if differences:
            raise _UnfitError(f"the served model is of another contract: {'; '.join(differences)}")
        self._checked = True

    def _note_fault(self, error: Exception) -> None:
        """Log a new fault, pause for a while, and have Triton load the model if that may help.

        A model whose process ended gives no answer in time, and neither does a busy machine: the second time it is
        reloaded.
        """
        self._checked = False
        if not self._is_loading():  # a model that is still loading cannot answer
            self._faults += 1
        self._silent_until = self._clock() + PAUSE_S
        fault = str(error.message() if isinstance(error, InferenceServerException) else error).partition("\n")[0]
        if not self._fault:
            self._fault = fault
            self._log.warning("series are chosen by their headers alone", address=self._address, error=fault)
        if isinstance(error, InferenceServerException) and (error.status() in _GONE or self._faults > 1):
            # A failed connection answers from memory for a while; a new one checks whether Triton is back.
            self._client.close()
            self._client = triton_client(self._settings, _CHANNEL)
            if not self._is_loading():
                self._faults = 0
                self._loading = threading.Thread(target=self._load_anew, name="series classifier", daemon=True)
                self._loading.start()

    def _is_loading(self) -> bool:
        return self._loading is not None and self._loading.is_alive()

    def _load_anew(self) -> None:
        """Have Triton load the model; one whose process ended counts as loaded until it is unloaded.

        Then it gets one question with a long timeout: the first answer of a new process takes longest, and on a busy
        machine a model that misses `TIMEOUT_S` with it would be loaded again and again.
        """
        tensor = InferInput(series.INPUT, (1, *series.INPUT_SHAPE), "UINT8")
        tensor.set_data_from_numpy(np.zeros((1, *series.INPUT_SHAPE), np.uint8))
        with suppress(InferenceServerException), triton_client(self._settings, _CHANNEL) as client:
            if client.is_server_live(client_timeout=TIMEOUT_S):
                client.unload_model(series.CLASSIFIER, client_timeout=_LOAD_TIMEOUT_S)
                client.load_model(series.CLASSIFIER, client_timeout=_LOAD_TIMEOUT_S)
                close_regions(self._settings)
                client.infer(series.CLASSIFIER, [tensor], client_timeout=_LOAD_TIMEOUT_S)
