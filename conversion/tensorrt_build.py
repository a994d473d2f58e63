# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""An engine from an ONNX graph, by NVIDIA's TensorRT or by TensorRT-RTX, which has the same API.

The module is a parameter: `tensorrt` (10.12 and later, and 11) at a site, in the container that serves the engine;
`tensorrt_rtx` without a GPU, because it can build for a named compute capability. Networks are strongly typed, so the
graph states the precision (`half`), and no flag does.

**What has run where.** With TensorRT-RTX 1.7.1 on machines without a GPU every line below has run, for compute
capabilities 7.5 to 12.0. With the full TensorRT nothing here has run yet: its libraries were not available.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

Watch = Callable[[str, int, int], None]
"""Called with progress: the phase's name, the number of finished steps, and the number of all steps."""
MIB: Final = 1 << 20


class EngineError(Exception):
    """No engine was built; the message says why TensorRT refused."""


@dataclass(frozen=True)
class BuildOptions:
    """What changes an engine, apart from graph, GPU and TensorRT.

    Attributes
    ----------
    precision
        "fp16": features in half precision (`half`), or "fp32". Turing needs fp16.
    optimisation
        TensorRT's level, 0 to 5: higher builds longer and may run faster. 3 is its own default.
    workspace_mib
        Memory that one layer may use while it is timed and run; 0 leaves it to TensorRT.
    """

    precision: str = "fp16"
    optimisation: int = 3
    workspace_mib: int = 0


def build_engine(
    graph: bytes,
    tensorrt: ModuleType,
    options: BuildOptions,
    *,
    capability: str | None = None,
    timing_cache: bytes = b"",
    watch: Watch | None = None,
) -> tuple[bytes, bytes]:
    """Return a serialised engine of an ONNX graph, and the timing cache to give to the next build.

    Parameters
    ----------
    capability: the compute capability to build for, such as "8.6"; None is this machine's GPU.
    timing_cache: what an earlier build returned; a cache of another GPU or version is ignored, and TensorRT-RTX, which
        times nothing, takes none.

    Raises
    ------
    EngineError
        If TensorRT rejects the graph, cannot build for the capability, or fails.
    """
    logger = _logger(tensorrt)
    builder = tensorrt.Builder(logger)
    network = builder.create_network(1 << int(tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse(graph):
        errors = "; ".join(parser.get_error(i).desc() for i in range(parser.num_errors))
        raise EngineError(f"TensorRT does not take the graph: {errors}")
    config = builder.create_builder_config()
    config.builder_optimization_level = options.optimisation
    if options.workspace_mib:
        config.set_memory_pool_limit(tensorrt.MemoryPoolType.WORKSPACE, options.workspace_mib * MIB)
    if capability is not None:
        _aim_at(config, tensorrt, capability)
    cache = config.create_timing_cache(timing_cache)
    if not config.set_timing_cache(cache, ignore_mismatch=False):
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, ignore_mismatch=False)
    # It has to live as long as the build: TensorRT keeps no reference of its own.
    monitor = _monitor(tensorrt, watch) if watch else None
    if monitor:
        config.progress_monitor = monitor
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise EngineError(f"TensorRT built no engine: {logger.errors()}")
    kept = config.get_timing_cache()
    return bytes(plan), bytes(kept.serialize()) if kept is not None else b""


def _aim_at(config: Any, tensorrt: ModuleType, capability: str) -> None:
    """Set a named compute capability for a build, which only TensorRT-RTX supports."""
    known = getattr(tensorrt, "ComputeCapability", None)
    if known is None:
        raise EngineError(f"{tensorrt.__name__} builds for the GPU that is there, not for a named capability")
    name = f"SM{capability.replace('.', '')}"
    if not hasattr(known, name):
        names = sorted(one.removeprefix("SM") for one in known.__members__ if one.startswith("SM"))
        able = ", ".join(f"{one[:-1]}.{one[-1]}" for one in sorted(names, key=int))
        raise EngineError(f"{tensorrt.__name__} {tensorrt.__version__} does not know {capability}; it knows {able}")
    config.num_compute_capabilities = 1
    config.set_compute_capability(getattr(known, name), 0)


def _logger(tensorrt: ModuleType) -> Any:
    """Return a logger that keeps TensorRT's errors for the message to the caller."""

    class Logger(tensorrt.ILogger):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            tensorrt.ILogger.__init__(self)
            self.kept: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (tensorrt.ILogger.ERROR, tensorrt.ILogger.INTERNAL_ERROR):
                self.kept.append(message)

        def errors(self) -> str:
            return "; ".join(self.kept[-3:]) or "it does not say why"

    return Logger()


def _monitor(tensorrt: ModuleType, watch: Watch) -> Any:
    """Return TensorRT's progress monitor that passes each step on to `watch`."""

    class Monitor(tensorrt.IProgressMonitor):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            tensorrt.IProgressMonitor.__init__(self)
            self.steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, _parent: str | None, num_steps: int) -> None:
            self.steps[phase_name] = num_steps
            watch(phase_name, 0, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            watch(phase_name, step + 1, self.steps[phase_name])
            return True  # go on

        def phase_finish(self, phase_name: str) -> None:
            watch(phase_name, self.steps[phase_name], self.steps.pop(phase_name))

    return Monitor()
