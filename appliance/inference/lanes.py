# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How the tensors of one chunk travel to Triton and back: by shared memory, or inside the gRPC messages.

A lane carries one request at a time and is reused for the next chunk; several lanes keep several chunks in flight. One
16 MiB tensor costs 101 ms inside gRPC messages and 9 ms by shared memory, which needs Triton on the same machine.
`stream.py` knows what the tensors mean.
"""

from __future__ import annotations

import itertools
import mmap
import os
import queue
import weakref
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput, InferResult
from tritonclient.utils import InferenceServerException

from appliance.errors import UnavailableError
from appliance.inference.client import CONTROL_TIMEOUT_S
from appliance.inference.regions import SHARED_MEMORY, is_of_the_dead, new_name, remove_regions_of_the_dead, stem
from appliance.reading.contract import DETECTOR, INPUT, INPUT_SHAPE, OUTPUTS

INPUT_DTYPES: Final[dict[str, type[np.generic]]] = {"INT16": np.int16, "FP16": np.float16, "FP32": np.float32}
"""The dtypes that a model may declare for its input, by Triton's names: every clipped HU value is exact in each."""

TOO_LATE: Final = "StatusCode.DEADLINE_EXCEEDED"
"""The gRPC status of a request without an answer in time."""
GONE: Final = "StatusCode.UNAVAILABLE"
"""The gRPC status of a server that is not there, and of a model that is not ready."""
AWAY: Final = (GONE, TOO_LATE)
"""The gRPC statuses of a server that is not there or does not answer in time."""

_ALIGNMENT = 64
_FAREWELL_S = 2.0
_LATE_S = 5.0  # how much later than gRPC's own deadline an answer is given up


class _Region:
    """A piece of system shared memory that this process made and Triton maps under the same name."""

    def __init__(self, size: int) -> None:
        self.name = new_name()
        self.size = size
        path = SHARED_MEMORY / self.name
        # Removes the name, at the latest when this process ends; the memory is freed when nobody maps it any more.
        self.unlink = weakref.finalize(self, path.unlink, missing_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            # Without this a full /dev/shm shows only as SIGBUS, at the first write.
            os.posix_fallocate(descriptor, 0, size)
            self.buffer = mmap.mmap(descriptor, size)
        except OSError as error:
            self.unlink()
            raise UnavailableError(
                f"no shared memory of {size >> 20} MiB: {error.strerror}; enlarge {SHARED_MEMORY} "
                "(`--shm-size` of a container), or set triton.shared_memory = false"
            ) from error
        finally:
            os.close(descriptor)

    def view(self, dtype: type[np.generic], shape: tuple[int, ...], offset: int) -> NDArray[Any]:
        return np.ndarray(shape, dtype, buffer=self.buffer, offset=offset)


def remove_forsaken_regions(client: InferenceServerClient) -> None:
    """Remove regions that nobody will use, from shared memory and from Triton's records.

    These are regions of a process that was killed before it could remove them, and regions that were removed while
    Triton did not answer: Triton keeps their memory as long as they are registered.

    Raises `InferenceServerException`.
    """
    remove_regions_of_the_dead()
    for name in client.get_system_shared_memory_status(client_timeout=CONTROL_TIMEOUT_S).regions:
        if name.startswith(stem()) and (is_of_the_dead(name) or not (SHARED_MEMORY / name).exists()):
            # Triton may still be working on an abandoned request, and does not release its region before that ends.
            with suppress(InferenceServerException):
                client.unregister_system_shared_memory(name, client_timeout=CONTROL_TIMEOUT_S)


class Lane(ABC):
    """One reusable way to Triton: write `input`, `send`, then take `outputs`, then the next.

    Attributes
    ----------
    input
        Array [20, 512, 512] of the model's dtype; Triton gets what it holds when `send` is called.
    model
        The model's name in Triton.
    """

    input: NDArray[Any]
    model: str = DETECTOR

    def __init__(self, client: InferenceServerClient) -> None:
        self._client = client
        self._call: Any = None
        self._answers: queue.SimpleQueue[tuple[Any, InferenceServerException | None]] = queue.SimpleQueue()
        self._timeout_s = 0.0

    def send(self, timeout_s: float, headers: Mapping[str, str] | None = None) -> None:
        """Send `input`; `outputs` gives up after `timeout_s`. Raises `InferenceServerException`."""
        # One queue per request: a late answer to an abandoned request cannot pass for the next one's.
        answers: queue.SimpleQueue[tuple[Any, InferenceServerException | None]] = queue.SimpleQueue()
        self._answers = answers
        self._timeout_s = timeout_s
        self._call = self._client.async_infer(
            self.model,
            [self._request_input()],
            lambda result, error: answers.put((result, error)),
            outputs=self._request_outputs(),
            client_timeout=timeout_s,
            headers=dict(headers or {}),
        )

    def outputs(self) -> dict[str, NDArray[Any]]:
        """Return the outputs by name; they are valid until the next `send`.

        Raises `InferenceServerException` when Triton refuses, is away, or does not answer in time.
        """
        try:
            result, error = self._answers.get(timeout=self._timeout_s + _LATE_S)
        except queue.Empty:
            raise InferenceServerException("no answer in time", TOO_LATE) from None
        self._call = None
        if error is not None:
            raise error
        return self._take_outputs(result)

    def is_known(self) -> bool:
        """Return whether Triton still knows what this lane needs; a restarted Triton does not."""
        return True

    def close(self) -> None:
        """Abandon a request in flight and release the lane; this does not need an answer of Triton."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    @abstractmethod
    def _request_input(self) -> InferInput:
        """Return the input tensor of the request."""

    @abstractmethod
    def _request_outputs(self) -> list[InferRequestedOutput]:
        """Return the outputs to request, and where Triton puts them."""

    @abstractmethod
    def _take_outputs(self, result: InferResult) -> dict[str, NDArray[Any]]:
        """Return the outputs by name from Triton's answer."""


class MessageLane(Lane):
    """The tensors are inside the messages: slower, but works across machines."""

    def __init__(self, client: InferenceServerClient, input_dtype: str) -> None:
        super().__init__(client)
        self._input_dtype = input_dtype
        self.input = np.zeros(INPUT_SHAPE, INPUT_DTYPES[input_dtype])

    def _request_input(self) -> InferInput:
        return InferInput(INPUT, INPUT_SHAPE, self._input_dtype).set_data_from_numpy(self.input)

    def _request_outputs(self) -> list[InferRequestedOutput]:
        return [InferRequestedOutput(output.name) for output in OUTPUTS]

    def _take_outputs(self, result: InferResult) -> dict[str, NDArray[Any]]:
        arrays = {output.name: result.as_numpy(output.name) for output in OUTPUTS}
        return {name: array for name, array in arrays.items() if array is not None}


class SharedMemoryLane(Lane):
    """The tensors are in one region of system shared memory: the input first, then the outputs."""

    def __init__(self, client: InferenceServerClient, input_dtype: str) -> None:
        super().__init__(client)
        dtype = INPUT_DTYPES[input_dtype]
        input_size = int(np.prod(INPUT_SHAPE)) * np.dtype(dtype).itemsize
        sizes = [int(np.prod(output.shape)) * np.dtype(output.dtype).itemsize for output in OUTPUTS]
        offsets = [0, *itertools.accumulate(-(-size // _ALIGNMENT) * _ALIGNMENT for size in (input_size, *sizes))]
        self._region = _Region(offsets[-1])
        self.input = self._region.view(dtype, INPUT_SHAPE, 0)
        self._outputs = {
            output.name: self._region.view(output.dtype, output.shape, offset)
            for output, offset in zip(OUTPUTS, offsets[1:-1], strict=True)
        }
        # The tensors of the request never change: they always name the same places.
        self._input_tensor = InferInput(INPUT, INPUT_SHAPE, input_dtype)
        self._input_tensor.set_shared_memory(self._region.name, input_size)
        self._output_tensors = [InferRequestedOutput(output.name) for output in OUTPUTS]
        for tensor, size, offset in zip(self._output_tensors, sizes, offsets[1:-1], strict=True):
            tensor.set_shared_memory(self._region.name, size, offset)
        try:
            client.register_system_shared_memory(
                self._region.name, f"/{self._region.name}", self._region.size, client_timeout=CONTROL_TIMEOUT_S
            )
        except InferenceServerException as error:
            self._region.unlink()
            if error.status() in AWAY:
                raise
            raise UnavailableError(
                f"Triton does not take shared memory: {error.message()}; set triton.shared_memory = false when it runs "
                "on another machine, in a container of its own (without `--ipc=host`) or as another user"
            ) from error

    def is_known(self) -> bool:
        """Return whether the region is still registered with Triton. Raises `InferenceServerException`."""
        status = self._client.get_system_shared_memory_status(client_timeout=CONTROL_TIMEOUT_S)
        return self._region.name in status.regions

    def close(self) -> None:
        """Abandon a request in flight and release the region, on both sides if Triton answers."""
        super().close()
        with suppress(InferenceServerException):
            self._client.unregister_system_shared_memory(self._region.name, client_timeout=_FAREWELL_S)
        self._region.unlink()

    def _request_input(self) -> InferInput:
        # An output that Triton does not write must not pass for the one of the request before.
        for output in self._outputs.values():
            output.fill(-1)
        return self._input_tensor

    def _request_outputs(self) -> list[InferRequestedOutput]:
        return self._output_tensors

    def _take_outputs(self, result: InferResult) -> dict[str, NDArray[Any]]:
        answered = {output.name: output for output in result.get_response().outputs}
        return {
            name: array
            for name, array in self._outputs.items()
            if name in answered and tuple(answered[name].shape) == array.shape
        }
