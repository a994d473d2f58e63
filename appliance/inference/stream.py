# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Sends chunks to one Triton and takes the answers: two at a time, one being written while Triton reads the other."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from appliance.imaging.resize import to_matrix
from appliance.inference.lanes import TOO_LATE, Lane, MessageLane, SharedMemoryLane, remove_forsaken_regions
from appliance.inference.patience import Patience
from appliance.inference.served_model import ServedModel
from appliance.inference.trouble import NoAnswerError
from appliance.reading import contract
from appliance.traces import CHUNK, OpenSpan

_LANES: Final = 2


class ChunkStream:
    """The lanes to one Triton. Empty until `open`; `drop` empties it again.

    Parameters
    ----------
    patience
        How long to wait for a chunk.
    """

    def __init__(self, patience: Patience) -> None:
        self.patience = patience
        self._lanes: list[Lane] = []

    def __bool__(self) -> bool:
        return bool(self._lanes)

    def open(self, client: InferenceServerClient, served: ServedModel, shared_memory: bool) -> None:
        """Make lanes that fit the model. Raises `InferenceServerException`, `UnavailableError`."""
        if shared_memory:
            remove_forsaken_regions(client)
        kind = SharedMemoryLane if shared_memory else MessageLane
        for _ in range(_LANES):
            self._lanes.append(kind(client, served.input_dtype))

    def drop(self) -> None:
        """Abandon what is in flight, and the lanes."""
        lanes, self._lanes = self._lanes, []
        for lane in lanes:
            lane.close()

    def is_known(self) -> bool:
        """Return whether Triton still knows the lanes; a restarted Triton does not."""
        return all(lane.is_known() for lane in self._lanes)

    def ask_model(self, served_as: str) -> None:
        """Send the next chunks to the model with this name."""
        for lane in self._lanes:
            lane.model = served_as

    def answers(
        self,
        count: int,
        write: Callable[[int, NDArray[Any]], None],
        go_on: Callable[[], bool] | None = None,
    ) -> Iterator[dict[str, NDArray[Any]]]:
        """Yield the outputs of `count` chunks in order; each is valid until the next is requested.

        `write(number, target)` writes a chunk into `target` [20, 512, 512] of the model's dtype. Once `go_on()` says
        no, only the chunks in flight are still yielded.
        """
        most = _LANES if go_on is None else 1
        on_their_way: deque[tuple[Lane, OpenSpan]] = deque()
        free_since = time.monotonic()  # when Triton could begin with the chunk we wait for

        def outputs() -> dict[str, NDArray[Any]]:
            nonlocal free_since
            lane, span = on_their_way.popleft()
            try:
                taken = lane.outputs()
            except InferenceServerException as error:
                span.end(type(error).__name__)
                if error.status() == TOO_LATE:
                    self.patience.note_timeout()
                raise
            span.end()
            now = time.monotonic()
            self.patience.note_answer(now - free_since)
            free_since = now
            return _require_contract(taken)

        for number in range(count):
            lane = self._lanes[number % _LANES]
            if len(on_their_way) == most:
                yield outputs()
            if go_on is not None and not go_on():
                break
            write(number, lane.input)
            span = OpenSpan(CHUNK, chunk=number)
            lane.send(self.patience.seconds * (len(on_their_way) + 1), span.headers)
            on_their_way.append((lane, span))
        while on_their_way:
            yield outputs()


def write_chunk(hu: NDArray[np.int16], indices: NDArray[np.intp], target: NDArray[Any]) -> None:
    """Write the slices `indices` of `hu` [Z, Y, X] into `target` [20, 512, 512]: resized, clipped to the wire's range.

    This goes slice by slice, so that no second array as large as the chunk is needed.
    """
    for plane, index in zip(target, indices, strict=True):
        resized = to_matrix(hu[index : index + 1], contract.MATRIX)[0]
        np.clip(resized, -contract.WIRE_CLIP_HU, contract.WIRE_CLIP_HU, out=plane)


def _require_contract(outputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the outputs if they keep the contract; raise `NoAnswerError` with the difference if not."""
    fault = contract.output_fault(outputs)
    if fault is not None:
        raise NoAnswerError(f"Triton answered with broken tensors: {fault}; see its log")
    return outputs
