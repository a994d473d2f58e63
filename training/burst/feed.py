# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Batches on their way to the device, and what it learns from while none is ready: the last one, mirrored, once."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from training.batches import Batch
from training.burst.mirror import mirror
from training.burst.slots import Slots

_mirrored: Any = jax.jit(lambda arrays: list(vars(mirror(Batch(*arrays))).values()))


class Feed:
    """The batches of `slots` on the device; the next ones are copied while the network learns from one.

    `alive()` says whether anybody still draws batches.
    """

    def __init__(self, slots: Slots, alive: Callable[[], bool] = lambda: True):
        self.alive = alive
        self.fresh = self.mirrored = 0
        self._ready: queue.Queue[Sequence[Any]] = queue.Queue(maxsize=3)
        self._last: Sequence[Any] | None = None
        threading.Thread(target=self._copy, args=(slots,), daemon=True, name="to the device").start()

    def take(self) -> Sequence[Any]:
        """Return the next batch. Where none is ready it is the last one mirrored, and after that, the next that comes.

        Raises
        ------
        RuntimeError
            If nobody draws batches any more.
        """
        try:
            arrays = self._ready.get_nowait()
        except queue.Empty:
            if self._last is not None:
                mirrored: Sequence[Any] = _mirrored(self._last)
                self._last = None
                self.mirrored += 1
                return mirrored
            arrays = self._wait()
        self._last = arrays
        self.fresh += 1
        return arrays

    def _wait(self) -> Sequence[Any]:
        while True:
            try:
                return self._ready.get(timeout=5.0)
            except queue.Empty:
                if not self.alive():
                    raise RuntimeError("the processes that draw batches have ended; their errors are above") from None

    def _copy(self, slots: Slots) -> None:
        while True:
            place = slots.filled.get()
            # A copy first, because a CPU device may use the very memory that is filled again.
            arrays = jax.block_until_ready([jax.device_put(np.array(values)) for values in slots.batches[place]])
            slots.free.put(place)
            self._ready.put(arrays)
