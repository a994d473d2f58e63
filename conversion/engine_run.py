# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whether an engine answers as ONNX Runtime does, on the GPU that it was built for.

The golden chunk and mirror images of it are compared, in the size that is served. `EngineRun` needs a GPU, TensorRT and
NVIDIA's `cuda-python`. **It has not run yet: no GPU was available when it was written.** `compare` takes any function
from a chunk to outputs, and has run with ONNX Runtime in the engine's place.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from appliance.reading import contract
from appliance.reading.detections import Run
from appliance.reading.golden import golden_chunk, golden_matches, golden_summary
from conversion.tensorrt_build import EngineError


def compare(engine: Run, reference: Run) -> dict[str, Any]:
    """Return the figures of a comparison on the golden chunk and its mirror images.

    Raises
    ------
    EngineError
        If the engine answers one of them differently (`golden_matches`).
    """
    apart = 0.0
    chunks = dict(_chunks())
    for name, hu in chunks.items():
        expected, got = reference(hu), engine(hu)
        fault = golden_matches(golden_summary(expected), got)
        if fault is not None:
            raise EngineError(f"the engine answers differently from ONNX Runtime on the {name}: {fault}")
        best = [np.sort(outputs["detection_score"].max(axis=1))[::-1] for outputs in (expected, got)]
        apart = max(apart, float(np.abs(best[0] - best[1]).max()))
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {"with": "onnxruntime", "chunks": len(chunks), "scores_apart": round(apart, 5), "when": now}


def _chunks() -> Iterator[tuple[str, NDArray[np.float32]]]:
    hu = golden_chunk().astype(np.float32)
    yield "golden chunk", hu
    yield "golden chunk, right for left", np.ascontiguousarray(hu[:, :, ::-1])
    yield "golden chunk, head for foot", np.ascontiguousarray(hu[::-1])


def onnx_run(model: bytes) -> Run:
    """Return a function from one chunk hu float32 [20, 512, 512] to the outputs of an ONNX graph on the CPU."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [output.name for output in contract.OUTPUTS]
    return lambda hu: dict(zip(names, session.run(names, {contract.INPUT: hu}), strict=True))


def comparison(model: Path, tensorrt: ModuleType) -> Callable[[Path], dict[str, Any]]:
    """Return the comparison of a plan file with an exported model, for `engine.settle_engine`."""
    return lambda plan: compare(EngineRun(plan, tensorrt), onnx_run(model.read_bytes()))


class EngineRun:
    """A plan file on the GPU: called with hu float32 [20, 512, 512] it returns the outputs by name.

    Raises
    ------
    EngineError
        If the plan does not load, or CUDA refuses.
    """

    def __init__(self, plan: Path, tensorrt: ModuleType):
        from cuda.bindings import runtime

        self.cuda = runtime
        logger = tensorrt.Logger(tensorrt.Logger.ERROR)
        self.runtime = tensorrt.Runtime(logger)
        self.engine = self.runtime.deserialize_cuda_engine(plan.read_bytes())
        if self.engine is None:
            raise EngineError(f"{plan.name} does not load in {tensorrt.__name__} {tensorrt.__version__} on this GPU")
        self.context = self.engine.create_execution_context()
        self.stream = self._require(runtime.cudaStreamCreate())
        self.outputs = {output.name: np.empty(output.shape, output.dtype) for output in contract.OUTPUTS}
        sizes = {contract.INPUT: 4 * int(np.prod(contract.INPUT_SHAPE))}
        sizes |= {name: array.nbytes for name, array in self.outputs.items()}
        self.memory = {name: self._require(runtime.cudaMalloc(size)) for name, size in sizes.items()}
        for name, address in self.memory.items():
            self.context.set_tensor_address(name, int(address))

    def __call__(self, hu: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """Return the outputs for one chunk, copied to the host."""
        to_device = self.cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
        to_host = self.cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
        hu = np.ascontiguousarray(hu, np.float32)
        self._require(self.cuda.cudaMemcpy(self.memory[contract.INPUT], hu.ctypes.data, hu.nbytes, to_device))
        if not self.context.execute_async_v3(int(self.stream)):
            raise EngineError("the engine does not run")
        self._require(self.cuda.cudaStreamSynchronize(self.stream))
        for name, array in self.outputs.items():
            self._require(self.cuda.cudaMemcpy(array.ctypes.data, self.memory[name], array.nbytes, to_host))
        return {name: array.copy() for name, array in self.outputs.items()}

    def _require(self, answer: tuple[Any, ...]) -> Any:
        """Return the result of a CUDA call, or raise `EngineError` with its code."""
        error, *values = answer
        if error != self.cuda.cudaError_t.cudaSuccess:
            raise EngineError(f"CUDA says {error.name}")
        return values[0] if values else None
