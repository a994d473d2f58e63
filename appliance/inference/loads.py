# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Has Tritons load models that they lack, and holds up a study for each at most once.

The first load of a model is waited for, so that after a restart of Triton the promoted version answers the next study.
Once it has failed, another Triton or an earlier version answers, and the load is tried again behind their back, after a
pause that doubles each time: each try costs the processor as much as a start. What is loaded by then is found when
Triton is next asked what it serves.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tritonclient.utils import InferenceServerException

from appliance.inference.client import LOAD_TIMEOUT_S, triton_client
from appliance.inference.lanes import TOO_LATE
from appliance.inference.regions import close_regions
from appliance.inference.tritons import CHANNEL
from appliance.inference.trouble import NoAnswerError, first_line
from appliance.sections.triton import TritonSettings

PAUSE_S: Final = 60.0
"""The pause after the first load that failed, s."""
LONGEST_PAUSE_S: Final = 3600.0
_LATE_S: Final = 5.0  # how much later than gRPC's own deadline a load is given up


class NotLoadedError(NoAnswerError):
    """A Triton does not serve a model; the text says why."""


class LoadingError(NotLoadedError):
    """A Triton does not serve a model yet: it is being loaded."""


@dataclass
class _Load:
    """The loads of one model on one Triton since it was last loaded there."""

    given_up_at: float
    ended: threading.Event = field(default_factory=threading.Event)
    fault: str = ""
    pause_s: float = PAUSE_S
    again_at: float = 0.0


def load_model(triton: TritonSettings, model: str) -> None:
    """Have a Triton load a model, and return when it has. Raises `InferenceServerException`."""
    client = triton_client(triton, CHANNEL)
    try:
        client.load_model(model, client_timeout=LOAD_TIMEOUT_S)
        close_regions(triton)
    finally:
        client.close()


class Loads:
    """The loads of models that Tritons lack.

    Parameters
    ----------
    clock
        Monotonic seconds.
    load
        Loads a model; raises `InferenceServerException`.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        load: Callable[[TritonSettings, str], None] = load_model,
    ) -> None:
        self._clock = clock
        self._load = load
        self._lock = threading.Lock()
        self._loads: dict[tuple[str, int], dict[str, _Load]] = {}

    def load(self, triton: TritonSettings, model: str, wait: bool) -> None:
        """Have a Triton load a model that it lacks; return when it is loaded.

        Only the first try is waited for, whoever began it, and only with `wait`; later ones begin when their pause is
        over, and go on in the background. Raises `NotLoadedError` when the model is not loaded by now.
        """
        with self._lock:
            loads = self._loads.setdefault((triton.host, triton.grpc_port), {})
            load = loads.get(model)
            if load is None:
                load = loads[model] = _Load(self._clock() + LOAD_TIMEOUT_S + _LATE_S)
                begins = True
            else:
                begins = load.ended.is_set() and self._clock() >= load.again_at
            if begins:
                load.ended.clear()
                threading.Thread(target=self._run, args=(triton, model, load), name="load", daemon=True).start()
        if wait and not load.fault:
            load.ended.wait(max(0.0, load.given_up_at - self._clock()))
        if not load.ended.is_set():
            raise LoadingError(load.fault or f"Triton has not loaded {model} yet")
        if load.fault:
            raise NotLoadedError(load.fault)

    def forget(self, triton: TritonSettings) -> None:
        """Forget what failed on a Triton: one that was started anew may load it."""
        with self._lock:
            self._loads.pop((triton.host, triton.grpc_port), None)

    def _run(self, triton: TritonSettings, model: str, load: _Load) -> None:
        fault = ""
        try:
            self._load(triton, model)
        except InferenceServerException as error:
            late = error.status() == TOO_LATE
            fault = (
                f"Triton has not loaded {model} in {LOAD_TIMEOUT_S:.0f} s"
                if late
                else f"Triton does not load {model}: {first_line(error)}"
            )
        except Exception as error:  # whoever waits must be told
            fault = f"{model} was not loaded: {type(error).__name__}: {error}"
        with self._lock:
            load.fault = fault
            load.again_at = self._clock() + load.pause_s
            load.pause_s = min(2 * load.pause_s, LONGEST_PAUSE_S)
            loads = self._loads.get((triton.host, triton.grpc_port), {})
            if not fault and loads.get(model) is load:
                del loads[model]  # should it be lacking once more, that is another first time
            load.ended.set()
