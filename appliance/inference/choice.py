# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Chooses the model that answers: the first of the allowed ones that a Triton serves, or loads, as it was promoted.

An earlier version answers only where no other Triton has a later one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from appliance.errors import ModelContractError
from appliance.inference.client import CONTROL_TIMEOUT_S, LOAD_TIMEOUT_S, is_live
from appliance.inference.lanes import AWAY
from appliance.inference.loads import LoadingError, Loads, NotLoadedError
from appliance.inference.regions import close_regions
from appliance.inference.served_model import SHIPPED, ServedModel, Target, checked_model
from appliance.inference.tritons import Asks, Tritons
from appliance.inference.trouble import describe, first_line, wants_another_secret
from appliance.reading import contract
from appliance.sections.triton import TritonSettings


class ModelChoice:
    """The models that may answer, the wanted one first.

    Parameters
    ----------
    tritons
        Where they are served.
    targets
        Returns the models that may answer, the wanted one first; the others stand in for it. Raises while that
        is not known.
    loads
        Has a Triton load what it lacks.

    Attributes
    ----------
    passed_over
        Why the wanted model does not answer and another stands in for it; empty when it does.
    """

    def __init__(self, tritons: Tritons, targets: Callable[[], Sequence[Target]], loads: Loads) -> None:
        self._tritons = tritons
        self._targets = targets
        self._loads = loads
        self._known: Sequence[Target] = (SHIPPED,)
        self._last_asked = contract.DETECTOR
        self._log = structlog.get_logger("detector")
        self.passed_over = ""

    def ask(self) -> None:
        """Ask which models may answer from now on. Raises what `targets` raises; the last known ones stay known."""
        self._known = tuple(self._targets())

    def find(self) -> ServedModel:
        """Return the first known target that Triton serves as it was promoted.

        Triton is told to load a missing one. If it cannot, and another Triton has that target, that one is the present
        one from now on.

        Raises
        ------
        InferenceServerException
            when Triton is away.
        NotLoadedError, ModelContractError
            when no target is fit to answer: says of each why.
        """
        errors: list[NotLoadedError | ModelContractError] = []
        others: Sequence[TritonSettings] | None = None
        for target in self._known:
            try:
                served = self._fit_here(target)
            except (NotLoadedError, ModelContractError) as error:
                others = self._tritons.list_others() if others is None else others
                if not self._tritons.hand_over(others, self._asks_for(target), str(error)):
                    errors.append(error)
                    continue
                served = self._fit_here(target)
            self._last_asked = served.served_as
            self._pass_over("; ".join(map(str, errors)))
            return served
        raise type(errors[-1])("; ".join(map(str, errors)))

    def look(self, model: str) -> ServedModel:
        """Return what Triton says of a model. Raises `InferenceServerException`, `ModelContractError`."""
        return _look(self._tritons.client, model)

    def is_no_worse(self, triton: TritonSettings, client: InferenceServerClient) -> bool:
        """Return whether a Triton serves a target that is wanted no less than the one that answered last.

        If not, it is told to load one, and that is not waited for. Raises `InferenceServerException`.
        """
        for target in self._known:
            try:
                self._fit(triton, client, target, wait=False)
            except LoadingError:
                return False
            except (NotLoadedError, ModelContractError):
                if target.served_as == self._last_asked:
                    return False
            else:
                return True
        return False

    def forget_failures(self) -> None:
        """Forget what failed on the present Triton: it was, or may be, started anew."""
        self._loads.forget(self._tritons.settings)

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

    def _asks_for(self, target: Target) -> Asks:
        def has(triton: TritonSettings, client: InferenceServerClient) -> bool:
            try:
                self._fit(triton, client, target, wait=True)
            except (NotLoadedError, ModelContractError):
                return False
            return True

        return has

    def _fit_here(self, target: Target) -> ServedModel:
        return self._fit(self._tritons.settings, self._tritons.client, target, wait=True)

    def _fit(self, triton: TritonSettings, client: InferenceServerClient, target: Target, wait: bool) -> ServedModel:
        """Return the served model of a target.

        Raises `NotLoadedError` or `ModelContractError` when it cannot answer, `InferenceServerException` when that
        Triton is away.
        """
        try:
            served = _look(client, target.served_as)
        except InferenceServerException as error:
            if wants_another_secret(error) or not is_live(client):
                self._loads.forget(triton)
                raise
            self._loads.load(triton, target.served_as, wait)
            try:
                served = _look(client, target.served_as)
            except InferenceServerException as error:
                if error.status() in AWAY:
                    raise
                raise NotLoadedError(f"Triton does not load {target.served_as}: {first_line(error)}") from error
        if target.sha256 not in ("", served.identity.sha256):
            raise NotLoadedError(
                f"Triton serves {target.served_as} with sha256 {served.identity.sha256[:12]}…, and "
                f"{target.sha256[:12]}… was promoted"
            )
        return served

    def _pass_over(self, passed_over: str) -> None:
        if passed_over != self.passed_over:
            self.passed_over = passed_over
            if passed_over:
                self._log.warning("an earlier version of the detector stands in for the promoted one", why=passed_over)
            else:
                self._log.info("the promoted version of the detector answers")


def _look(client: InferenceServerClient, model: str) -> ServedModel:
    metadata = client.get_model_metadata(model, client_timeout=CONTROL_TIMEOUT_S)
    config = client.get_model_config(model, client_timeout=CONTROL_TIMEOUT_S).config
    return checked_model(
        {tensor.name: (tensor.datatype, tuple(tensor.shape)) for tensor in metadata.inputs},
        {tensor.name: (tensor.datatype, tuple(tensor.shape)) for tensor in metadata.outputs},
        {name: value.string_value for name, value in config.parameters.items()},
        model,
    )
