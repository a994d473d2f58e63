# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Chooses the model that answers: the first of the allowed ones that Triton serves, or loads, as it was promoted."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog
from tritonclient.utils import InferenceServerException

from appliance.errors import ModelContractError
from appliance.inference.client import CONTROL_TIMEOUT_S, LOAD_TIMEOUT_S
from appliance.inference.lanes import AWAY, TOO_LATE
from appliance.inference.regions import close_regions
from appliance.inference.served_model import SHIPPED, ServedModel, Target, checked_model
from appliance.inference.tritons import Tritons
from appliance.inference.trouble import describe, first_line
from appliance.reading import contract

_UNFIT_FOR_S: Final = 60.0
"""The pause before a model that Triton could not load is tried again, s."""


class ModelChoice:
    """The models that may answer, the wanted one first.

    Parameters
    ----------
    tritons
        Where they are served.
    targets
        Returns the models that may answer, the wanted one first; the others stand in for it. Raises while that
        is not known.

    Attributes
    ----------
    passed_over
        Why the wanted model does not answer and another stands in for it; empty when it does.
    """

    def __init__(self, tritons: Tritons, targets: Callable[[], Sequence[Target]]) -> None:
        self._tritons = tritons
        self._targets = targets
        self._known: Sequence[Target] = (SHIPPED,)
        self._unfit: dict[str, tuple[str, float]] = {}
        self._last_asked = contract.DETECTOR
        self._log = structlog.get_logger("detector")
        self.passed_over = ""

    def ask(self) -> None:
        """Ask which models may answer from now on. Raises what `targets` raises; the last known ones stay known."""
        self._known = tuple(self._targets())

    def find(self) -> ServedModel:
        """Return the first known target that Triton serves as it was promoted; Triton is told to load a missing one.

        Raises `InferenceServerException` when Triton is away, `ModelContractError` when even the last one is unfit.
        """
        *preferred, last = self._known
        faults: list[str] = []
        for target in preferred:
            fault, until = self._unfit.get(target.served_as, ("", 0.0))
            if time.monotonic() >= until:
                served = self._fit(target)
                if isinstance(served, ServedModel):
                    self._pass_over(faults)
                    return served
                fault = served
                self._unfit[target.served_as] = fault, time.monotonic() + _UNFIT_FOR_S
            faults.append(fault)
        served = self.look(last.served_as)
        self._pass_over(faults)
        return served

    def look(self, model: str) -> ServedModel:
        """Return what Triton says of a model. Raises `InferenceServerException`, `ModelContractError`."""
        self._last_asked = model
        client = self._tritons.client
        metadata = client.get_model_metadata(model, client_timeout=CONTROL_TIMEOUT_S)
        config = client.get_model_config(model, client_timeout=CONTROL_TIMEOUT_S).config
        return checked_model(
            {tensor.name: (tensor.datatype, tuple(tensor.shape)) for tensor in metadata.inputs},
            {tensor.name: (tensor.datatype, tuple(tensor.shape)) for tensor in metadata.outputs},
            {name: value.string_value for name, value in config.parameters.items()},
            model,
        )

    def forget(self) -> None:
        """Forget which models failed: another Triton may have them."""
        self._unfit.clear()

    def restart(self) -> str:
        """Have Triton restart the model that was used last, and return why it could not, "" when it could.

        When a model process ends (killed for memory, for example), Triton still calls the model ready, fails every
        request and starts no other process. A load alone finds nothing changed, so the model is unloaded first.
        """
        client = self._tritons.client
        try:
            client.unload_model(self._last_asked, client_timeout=CONTROL_TIMEOUT_S)
            client.load_model(self._last_asked, client_timeout=LOAD_TIMEOUT_S)
        except InferenceServerException as error:
            return describe(error)
        close_regions(self._tritons.settings)
        return ""

    def _fit(self, target: Target) -> ServedModel | str:
        """Return the served model of a target, or why it cannot answer; raises when Triton itself is away."""
        client = self._tritons.client
        try:
            try:
                served = self.look(target.served_as)
            except InferenceServerException:
                if not client.is_server_live(client_timeout=CONTROL_TIMEOUT_S):
                    raise
                try:
                    client.load_model(target.served_as, client_timeout=LOAD_TIMEOUT_S)
                except InferenceServerException as error:
                    if error.status() != TOO_LATE:
                        raise
                    return f"Triton has not loaded {target.served_as} in {LOAD_TIMEOUT_S:.0f} s"
                close_regions(self._tritons.settings)
                served = self.look(target.served_as)
        except ModelContractError as error:
            return str(error)
        except InferenceServerException as error:
            if error.status() in AWAY:
                raise
            return f"Triton does not load {target.served_as}: {first_line(error)}"
        if target.sha256 not in ("", served.identity.sha256):
            return (
                f"Triton serves {target.served_as} with sha256 {served.identity.sha256[:12]}…, and "
                f"{target.sha256[:12]}… was promoted"
            )
        self._unfit.pop(target.served_as, None)
        return served

    def _pass_over(self, faults: Sequence[str]) -> None:
        passed_over = "; ".join(faults)
        if passed_over != self.passed_over:
            self.passed_over = passed_over
            if passed_over:
                self._log.warning("an earlier version of the detector stands in for the promoted one", why=passed_over)
            else:
                self._log.info("the promoted version of the detector answers")
