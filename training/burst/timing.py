# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How long a device takes to read a study: from int16 slices in host memory to detections in host memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import jax
import numpy as np
from jax import numpy as jnp

from appliance.reading.contract import MATRIX
from training.network.detector import Detector
from training.network.variants import VARIANTS

SLICES: Final = 32
CONTEXT: Final = 4
RUNS: Final = 100
MATRIX_SIDE: Final = 8192


def time_reading(variant: str, runs: int = RUNS, side: int = MATRIX_SIDE) -> dict[str, Any]:
    """Return the time in ms to read 32 slices in one go, and which share of the device's matrix rate that is.

    The matrix rate is that of `side` x `side` matrices. Weights are random: they change which boxes are found and
    nothing of the work.
    """
    detector = Detector(VARIANTS[variant])
    detector.build()
    read = jax.jit(lambda hu: detector.call(hu.astype("float32")))
    hu = np.random.default_rng(1).integers(-1000, 1000, (SLICES + CONTEXT, MATRIX, MATRIX)).astype(np.int16)
    lowered = read.lower(hu)
    flop = float(lowered.cost_analysis()["flops"])  # of the graph as written: compiled, convolutions count nothing
    compiled = lowered.compile()

    def whole() -> Any:
        return jax.device_get(compiled(jax.device_put(hu)))

    there = jax.device_put(hu)
    whole_ms = _times_ms(whole, runs)
    network_ms = _times_ms(lambda: jax.block_until_ready(compiled(there)), runs)
    copy_ms = _times_ms(lambda: jax.block_until_ready(jax.device_put(hu)), runs)
    rate = matrix_rate(side)
    return {
        "variant": variant,
        "slices": SLICES,
        "runs": runs,
        "host_to_host_ms": _spread(whole_ms),
        "network_ms": _spread(network_ms),
        "copy_ms": _spread(copy_ms),
        "gflop": round(flop / 1e9, 1),
        "tflop_s": round(flop / np.median(network_ms) / 1e9, 1),
        "matrix_tflop_s": round(rate, 1),
        "share_of_matrix_rate": round(flop / np.median(network_ms) / 1e9 / rate, 4),
        "device": str(jax.devices()[0].device_kind),
    }


def matrix_rate(side: int) -> float:
    """Return the TFLOP/s of a bfloat16 product of two random `side` x `side` matrices, the median of 20."""
    key = jax.random.key(1)
    a = jax.random.normal(key, (side, side), jnp.bfloat16)
    product = jax.jit(lambda a: a @ a)
    times = _times_ms(lambda: product(a).block_until_ready(), 20)
    return float(2 * side**3 / np.median(times) / 1e9)


def _times_ms(call: Callable[[], Any], runs: int) -> list[float]:
    """Return the time of each of `runs` calls, after three that do not count."""
    for _ in range(3):
        call()
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - began))
    return times


def _spread(times: list[float]) -> dict[str, float]:
    low, middle, high = np.percentile(times, [5, 50, 95])
    return {"median": round(float(middle), 2), "p5": round(float(low), 2), "p95": round(float(high), 2)}
