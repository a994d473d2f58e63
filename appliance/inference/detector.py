# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Runs a volume through the detector in Triton and returns its answer in the appliance's own terms.

Here stand the connection, the check that the served model is of this version's contract, and the way from HU slices
to chunks. How tensors travel is in `lanes.py`, readiness in `golden.py`; how outputs become detections stands in
`appliance/reading/detections.py`, and what these amount to is for `appliance.findings`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

from appliance.errors import GaveWayError, ModelContractError, UnavailableError
from appliance.imaging.resize import to_matrix
from appliance.inference.client import endpoints, triton_client
from appliance.inference.detections import ModelIdentity, Reading
from appliance.inference.engine import EngineMemory, ServedEngine
from appliance.inference.golden import GoldenAnswer, Readiness, chunk
from appliance.inference.lanes import (
    AWAY,
    INPUT_DTYPES,
    TOO_LATE,
    Lane,
    MessageLane,
    SharedMemoryLane,
    remove_forsaken_regions,
)
from appliance.inference.patience import FIRST_S, Patience
from appliance.inference.regions import close_regions
from appliance.reading import contract
from appliance.reading.detections import Detection, DismissedProposal, chunk_detections, chunk_dismissed
from appliance.settings import TritonSettings

T = TypeVar("T")

_CONTROL_TIMEOUT_S: Final = 10.0
_LOAD_TIMEOUT_S: Final = 60.0
_LIVE_TIMEOUT_S: Final = 1.0
_FIRST_AGAIN_S: Final = 30.0
"""How long after a fail-over the first Triton is asked again, s; doubled each time it fails anew."""
_FIRST_AGAIN_LONGEST_S: Final = 900.0
_UNFIT_FOR_S: Final = 60.0
"""How long a model that Triton could not load is not asked for again, s."""
_MODEL_PROCESS_ENDED: Final = "is not healthy"  # Triton 2.51: "Stub process '...' is not healthy."
_PATIENCE_S: Final = 2.0  # how long `ready` waits for a study that is being read
# Two chunks in flight: one is written and read back while Triton works on the other.
_LANES: Final = 2
_CHANNEL: Final = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # Each client has its own connections, so that a new one does not inherit the pauses after an old one's failure.
    ("grpc.use_local_subchannel_pool", 1),
    # A hospital's web proxy does not lead to a model server.
    ("grpc.enable_http_proxy", 0),
]


@dataclass(frozen=True)
class Target:
    """A model in Triton that may answer: the name under which it is served, and its sha256 where that is settled."""

    served_as: str = contract.DETECTOR
    sha256: str = ""


SHIPPED: Final = Target()
"""The model that came with the appliance."""


@dataclass(frozen=True)
class ServedModel:
    """What Triton says of the model it serves, checked against the contract."""

    identity: ModelIdentity
    suggested_threshold: float
    golden: str
    input_dtype: str
    served_as: str = contract.DETECTOR


class NoAnswerError(UnavailableError):
    """A Triton is away or did not answer in time; another one may."""


class TritonDetector:
    """The hemorrhage detector behind Triton. One user at a time; `ready` may be asked from any thread.

    A Triton that is restarted, or gets another model of the same contract, is followed without a new detector: each
    `read` looks first at what is served.

    Parameters
    ----------
    settings
        Where Triton is, and whether it shares this machine's memory.
    first_wait_s
        How long to wait for the first chunk, s. A single request waits up to `settings.timeout_s`.
    targets
        Returns which models may answer, the wanted one first; asked before each study. The others stand in for one
        that Triton does not have and cannot load, or has in another form, so that studies are read meanwhile.

    Raises
    ------
    UnavailableError
        when Triton does not answer, or has not loaded the model.
    ModelContractError
        when the served model is not of this version's contract: says what differs.
    """

    def __init__(
        self,
        settings: TritonSettings,
        first_wait_s: float = FIRST_S,
        targets: Callable[[], Sequence[Target]] = lambda: (SHIPPED,),
    ) -> None:
        self._endpoints = endpoints(settings)
        self._at = 0
        self._first_again_at = 0.0
        self._first_pause_s = _FIRST_AGAIN_S
        self._settings = settings
        self._targets = targets
        self._unfit: dict[str, tuple[str, float]] = {}
        self._passed_over = ""
        self._log = structlog.get_logger("detector")
        self._lock = threading.Lock()
        self._lanes: list[Lane] = []
        self._golden = GoldenAnswer()
        self._engine = EngineMemory(settings)
        self._patience = Patience(settings.timeout_s, first_wait_s)
        self._asked = contract.DETECTOR
        self._client = self._new_client()
        try:
            self._served = self._failing_over(self._first_look)
        except BaseException:
            self._client.close()
            raise

    def _first_look(self) -> ServedModel:
        with self._asking():
            served = self._found()
            if self._settings.shared_memory:
                remove_forsaken_regions(self._client)
            return served

    @property
    def _address(self) -> str:
        return f"{self._settings.host}:{self._settings.grpc_port}"

    @property
    def identity(self) -> ModelIdentity:
        """Name, version and sha256 of the model as last looked at."""
        return self._served.identity

    @property
    def suggested_threshold(self) -> float:
        """The class score that the conversion suggests as threshold for the model as last looked at."""
        return self._served.suggested_threshold

    @property
    def served_as(self) -> str:
        """The name in Triton of the model as last looked at."""
        return self._served.served_as

    @property
    def passed_over(self) -> str:
        """Why the wanted model does not answer and another stands in for it; empty when it does."""
        return self._passed_over

    @property
    def golden(self) -> str:
        """The recorded answer to the golden chunk of the model as last looked at (`golden_summary`)."""
        return self._served.golden

    @property
    def engine(self) -> ServedEngine | None:
        """What runs the model as last looked at, None where Triton does not say."""
        return self._engine.ask(self._served.served_as)

    def read(self, hu: NDArray[np.int16], go_on: Callable[[], bool] | None = None) -> Reading:
        """Return everything the model says of a volume.

        Parameters
        ----------
        hu
            [Z, Y, X] in HU, foot to head, in the contract's orientation; resized in-plane to 512 x 512 here.
        go_on
            Asked before each chunk when the reading must not hold up another; one chunk at a time is then on its way.

        Raises
        ------
        UnavailableError
            when Triton is away, fails, or does not answer in time, or the model changed meanwhile: try again.
        ModelContractError
            when the served model is not of this version's contract.
        GaveWayError
            when `go_on` said no.
        """
        with self._lock:
            return self._failing_over(lambda: self._read(hu, go_on))

    def _read(self, hu: NDArray[np.int16], go_on: Callable[[], bool] | None) -> Reading:
        answered = 0
        detections: list[Detection] = []
        dismissed: list[DismissedProposal] = []
        with self._asking():
            served = self._connected()
            indices = contract.chunks(len(hu))

            def write(number: int, target: NDArray[Any]) -> None:
                write_chunk(hu, indices[number], target)

            for number, outputs in enumerate(self._answers(len(indices), write, go_on)):
                answered += 1
                detections += chunk_detections(outputs, number, len(hu))
                dismissed += chunk_dismissed(outputs, number, len(hu))
            # Another one that was promoted meanwhile does not matter: the study is read by one model to its end.
            if self._look(served.served_as) != served:
                raise UnavailableError("the served model changed while a study was read; it is to be read again")
        if answered < len(indices):
            raise GaveWayError(f"a reading gave way to another study after {answered} of {len(indices)} chunks")
        return Reading(tuple(detections), tuple(dismissed), served.identity, served.suggested_threshold)

    def ready(self) -> Readiness:
        """Say whether the golden chunk comes back right, and if not why; never raises.

        Asks at least whether the model is still the one that answered rightly; sends the golden chunk only when no
        right answer stands. While a study is being read the last word stands.
        """
        if not self._lock.acquire(timeout=0 if self._golden.last else _PATIENCE_S):
            return self._golden.last or Readiness(False, "a study is being read and the model is not yet proven")
        try:
            return self._failing_over(self._ask_golden)
        except (UnavailableError, ModelContractError) as error:
            return self._golden.keep(Readiness(False, str(error)))
        finally:
            self._lock.release()

    def _ask_golden(self) -> Readiness:
        with self._asking():
            served = self._connected()
            standing = self._golden.standing
            if standing is not None:
                return standing
            whole = np.arange(contract.CHUNK_INPUT_SLICES)
            (outputs,) = self._answers(1, lambda _, target: write_chunk(chunk(), whole, target))
            return self._golden.judge(served.golden, outputs)

    def _failing_over(self, ask: Callable[[], T]) -> T:
        """Return what `ask` returns; a Triton that does not answer gives way to the next, each asked once."""
        for left in range(len(self._endpoints), 0, -1):
            self._go_back()
            try:
                return ask()
            except NoAnswerError as error:
                if len(self._endpoints) > 1:
                    self._move_on(str(error))
                if left == 1:
                    raise
        raise AssertionError("there is one Triton at least")

    def _move_on(self, why: str) -> None:
        """Turn to the next Triton."""
        if self._at == 0:
            self._first_again_at = time.monotonic() + self._first_pause_s
            self._first_pause_s = min(2 * self._first_pause_s, _FIRST_AGAIN_LONGEST_S)
        self._turn_to((self._at + 1) % len(self._endpoints))
        self._log.warning("another Triton is asked", address=self._address, why=why)

    def _go_back(self) -> None:
        """Turn to the first Triton when it is time and it lives."""
        if not self._at or time.monotonic() < self._first_again_at:
            return
        self._first_again_at = time.monotonic() + self._first_pause_s
        client = triton_client(self._endpoints[0], _CHANNEL)
        try:
            if not client.is_model_ready(contract.DETECTOR, client_timeout=_LIVE_TIMEOUT_S):
                return
        except InferenceServerException:
            return
        finally:
            client.close()
        self._turn_to(0)
        self._log.info("the first Triton is asked again", address=self._address)

    def _turn_to(self, at: int) -> None:
        self._drop_lanes()
        self._golden.forget()
        self._client.close()
        self._at = at
        self._settings = self._endpoints[at]
        self._unfit.clear()
        self._client = self._new_client()

    def close(self) -> None:
        """Give back the shared memory and the connection.

        A volume that is still being read after a while is abandoned, so that stopping does not wait for a hung Triton.
        """
        alone = self._lock.acquire(timeout=_PATIENCE_S)
        try:
            self._drop_lanes()
            self._client.close()
        finally:
            if alone:
                self._lock.release()

    def _new_client(self) -> InferenceServerClient:
        return triton_client(self._settings, _CHANNEL)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Turn Triton's errors into the appliance's own, and reconnect on the next call."""
        try:
            yield
        except InferenceServerException as error:
            self._golden.forget()
            self._drop_lanes()
            if error.status() in AWAY:
                # A connection that failed answers from memory for a while; a new one looks whether Triton is back.
                self._client.close()
                self._client = self._new_client()
            if _MODEL_PROCESS_ENDED in str(error.message()):
                raise UnavailableError(f"Triton at {self._address}: {self._load_anew(self._asked)}") from error
            trouble = f"Triton at {self._address}: {_trouble(error)}"
            if error.status() in AWAY:
                raise NoAnswerError(trouble) from error
            raise UnavailableError(trouble) from error
        except BaseException:
            self._golden.forget()
            self._drop_lanes()
            raise

    def _load_anew(self, model: str) -> str:
        """Let Triton start the model again, and say how that went.

        When a model process ends (killed for memory, say), Triton goes on calling the model ready, fails every request
        and starts no other one. A load alone finds nothing changed, so the model is unloaded first.
        """
        try:
            self._client.unload_model(model, client_timeout=_CONTROL_TIMEOUT_S)
            self._client.load_model(model, client_timeout=_LOAD_TIMEOUT_S)
        except InferenceServerException as error:
            return f"the model process had ended and does not start again: {_trouble(error)}; restart Triton"
        close_regions(self._settings)
        return "the model process had ended and was started again; what was asked can be asked again"

    def _connected(self) -> ServedModel:
        """Return what Triton serves now, with lanes that fit it and that this Triton knows."""
        served = self._found()
        if served != self._served:
            self._golden.forget()
            if served.input_dtype != self._served.input_dtype:
                self._drop_lanes()
            self._served = served
        if not all(lane.is_known() for lane in self._lanes):
            self._drop_lanes()
        if not self._lanes:
            self._golden.forget()  # it was another server's or another model's
            self._engine = EngineMemory(self._settings)
            if self._settings.shared_memory:
                remove_forsaken_regions(self._client)
            kind = SharedMemoryLane if self._settings.shared_memory else MessageLane
            for _ in range(_LANES):
                self._lanes.append(kind(self._client, served.input_dtype))
        for lane in self._lanes:
            lane.model = served.served_as
        return served

    def _drop_lanes(self) -> None:
        lanes, self._lanes = self._lanes, []
        for lane in lanes:
            lane.close()

    def _found(self) -> ServedModel:
        """Return the first of the targets that Triton serves as it was settled; one that it lacks it is to load."""
        *preferred, last = self._targets()
        faults: list[str] = []
        for target in preferred:
            fault, until = self._unfit.get(target.served_as, ("", 0.0))
            if time.monotonic() >= until:
                served = self._fitting(target)
                if isinstance(served, ServedModel):
                    self._pass_over(faults)
                    return served
                fault = served
                self._unfit[target.served_as] = fault, time.monotonic() + _UNFIT_FOR_S
            faults.append(fault)
        served = self._look(last.served_as)
        self._pass_over(faults)
        return served

    def _fitting(self, target: Target) -> ServedModel | str:
        """Return the served model of a target, or why it cannot answer; raises when Triton itself is away."""
        try:
            try:
                served = self._look(target.served_as)
            except InferenceServerException:
                if not self._client.is_server_live(client_timeout=_CONTROL_TIMEOUT_S):
                    raise
                self._client.load_model(target.served_as, client_timeout=_LOAD_TIMEOUT_S)
                close_regions(self._settings)
                served = self._look(target.served_as)
        except ModelContractError as error:
            return str(error)
        except InferenceServerException as error:
            if error.status() in AWAY:
                raise
            return f"Triton does not load {target.served_as}: {_first_line(error)}"
        if target.sha256 not in ("", served.identity.sha256):
            return (
                f"Triton serves {target.served_as} with sha256 {served.identity.sha256[:12]}…, and "
                f"{target.sha256[:12]}… was promoted"
            )
        self._unfit.pop(target.served_as, None)
        return served

    def _pass_over(self, faults: Sequence[str]) -> None:
        passed_over = "; ".join(faults)
        if passed_over != self._passed_over:
            self._passed_over = passed_over
            if passed_over:
                self._log.warning("an earlier version of the detector stands in for the promoted one", why=passed_over)
            else:
                self._log.info("the promoted version of the detector answers")

    def _look(self, model: str) -> ServedModel:
        self._asked = model
        said = self._client.get_model_metadata(model, client_timeout=_CONTROL_TIMEOUT_S)
        config = self._client.get_model_config(model, client_timeout=_CONTROL_TIMEOUT_S).config
        parameters = {name: value.string_value for name, value in config.parameters.items()}
        return checked_model(
            {tensor.name: (tensor.datatype, tuple(tensor.shape)) for tensor in said.inputs},
            {tensor.name: (tensor.datatype, tuple(tensor.shape)) for tensor in said.outputs},
            parameters,
            model,
        )

    def _answers(
        self,
        count: int,
        write: Callable[[int, NDArray[Any]], None],
        go_on: Callable[[], bool] | None = None,
    ) -> Iterator[dict[str, NDArray[Any]]]:
        """Yield the outputs of `count` chunks in order; each stands until the next is asked for.

        `write(number, target)` writes a chunk into `target` [20, 512, 512] of the model's dtype. Once `go_on()` says
        no, what is on its way is still yielded, and nothing more.
        """
        most = _LANES if go_on is None else 1
        on_their_way: deque[Lane] = deque()
        free_since = time.monotonic()  # when Triton could begin with the chunk that is waited for

        def outputs() -> dict[str, NDArray[Any]]:
            nonlocal free_since
            try:
                taken = on_their_way.popleft().outputs()
            except InferenceServerException as error:
                if error.status() == TOO_LATE:
                    self._patience.ran_out()
                raise
            now = time.monotonic()
            self._patience.answered(now - free_since)
            free_since = now
            return _whole(taken)

        for number in range(count):
            lane = self._lanes[number % _LANES]
            if len(on_their_way) == most:
                yield outputs()
            if go_on is not None and not go_on():
                break
            write(number, lane.input)
            lane.send(self._patience.seconds * (len(on_their_way) + 1))
            on_their_way.append(lane)
        while on_their_way:
            yield outputs()


def write_chunk(hu: NDArray[np.int16], indices: NDArray[np.intp], target: NDArray[Any]) -> None:
    """Write the slices `indices` of `hu` [Z, Y, X] into `target` [20, 512, 512]: resized, clipped to the wire's range.

    Slice by slice, so that nothing as large as the chunk is held beside it.
    """
    for plane, index in zip(target, indices, strict=True):
        resized = to_matrix(hu[index : index + 1], contract.MATRIX)[0]
        np.clip(resized, -contract.WIRE_CLIP_HU, contract.WIRE_CLIP_HU, out=plane)


def checked_model(
    inputs: dict[str, tuple[str, tuple[int, ...]]],
    outputs: dict[str, tuple[str, tuple[int, ...]]],
    parameters: dict[str, str],
    served_as: str = contract.DETECTOR,
) -> ServedModel:
    """Return the served model, or raise `ModelContractError` with everything in which it differs from the contract.

    Parameters
    ----------
    inputs, outputs
        Triton's dtype name and shape of each tensor, by name.
    parameters
        The string parameters of the model's configuration, written by `conversion`.
    served_as
        Its name in Triton.
    """
    differences: list[str] = []
    input_dtype, input_shape = inputs.get(contract.INPUT, ("missing", contract.INPUT_SHAPE))
    if input_dtype not in INPUT_DTYPES:
        differences.append(f"input {contract.INPUT} is {input_dtype}, not {', '.join(INPUT_DTYPES)}")
    if input_shape != contract.INPUT_SHAPE:
        differences.append(f"input {contract.INPUT} is {list(input_shape)}, not {list(contract.INPUT_SHAPE)}")
    differences += [f"input {name} is unknown" for name in inputs if name != contract.INPUT]
    for output in contract.OUTPUTS:
        dtype, shape = outputs.get(output.name, ("missing", output.shape))
        if triton_to_np_dtype(dtype) is not output.dtype or shape != output.shape:
            wanted = f"{np.dtype(output.dtype)} {list(output.shape)}"
            differences.append(f"output {output.name} is {dtype} {list(shape)}, not {wanted}")
    for name, value in contract.metadata().items():
        if parameters.get(name) != value:
            differences.append(f"parameter {name} is {parameters.get(name)!r}, not {value!r}")
    for name in (contract.PARAMETER_MODEL_VERSION, contract.PARAMETER_ONNX_SHA256, contract.PARAMETER_GOLDEN):
        if not parameters.get(name):
            differences.append(f"parameter {name} is missing")
    threshold = _number(parameters.get(contract.PARAMETER_THRESHOLD))
    if threshold is None or not contract.SCORE_FLOOR <= threshold <= 1:
        differences.append(
            f"parameter {contract.PARAMETER_THRESHOLD} is {parameters.get(contract.PARAMETER_THRESHOLD)!r}, "
            f"not a number from {contract.SCORE_FLOOR} to 1"
        )
    if differences or threshold is None:
        raise ModelContractError(
            f"Triton serves a {served_as} of another contract than version {contract.CONTRACT_VERSION}: "
            f"{'; '.join(differences)}. Write the model repository with the conversion of this version "
            "(`python -m conversion repository`) and restart Triton"
        )
    identity = ModelIdentity(
        contract.DETECTOR,
        parameters[contract.PARAMETER_MODEL_VERSION],
        parameters[contract.PARAMETER_ONNX_SHA256],
    )
    return ServedModel(identity, threshold, parameters[contract.PARAMETER_GOLDEN], input_dtype, served_as)


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None


def _whole(outputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the outputs when they keep the contract; raise `UnavailableError` with what does not."""
    fault = contract.output_fault(outputs)
    if fault is not None:
        raise UnavailableError(f"Triton answered with broken tensors: {fault}; see its log")
    return outputs


def _first_line(error: InferenceServerException) -> str:
    return str(error.message()).strip().partition("\n")[0]  # a Python traceback follows, which the log has too


def _trouble(error: InferenceServerException) -> str:
    """Say what went wrong and what to do, from a gRPC status."""
    status = (error.status() or "").removeprefix("StatusCode.")
    message = _first_line(error)
    if error.status() == TOO_LATE:
        return (
            "no answer in time; it hangs, or the machine is overloaded: when it does not come back by itself restart "
            "Triton; a machine that is only slow is waited for twice as long each time, up to triton.timeout_s"
        )
    if "is restricted" in message:
        return "it asks for a secret that is not ours; set triton.secret to the one that it was started with"
    if status == "UNAVAILABLE" and ("connect" in message.lower() or "socket" in message.lower()):
        return "does not answer; start it, or set triton.host and triton.grpc_port to where it runs"
    if status in ("NOT_FOUND", "UNAVAILABLE"):
        return f"the model is not loaded ({message}); see Triton's log"
    return f"{message} ({status}); see Triton's log"
