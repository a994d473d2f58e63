# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The detector beside the networks a user would take instead: with the same study, machine, runtime and threads.

    .venv-training/bin/python -m conversion window
    python3.11 -m venv .venv-peers && .venv-peers/bin/pip install -r benchmarks/peers.txt
    .venv-peers/bin/python -m benchmarks.peers export
    .venv/bin/python -m benchmarks.peers time --json

The first command writes the shipped detector for one slice a call, as the paper's network reads (five slices in, one
out), so that `time` shows what shared features save. `export` writes two networks of PyTorch with random weights, which
does not change their amount of work: torchvision's mask R-CNN (ResNet-50 and feature pyramid, each slice a picture of
512 x 512) and a U-Net of nnU-Net's default size (Isensee et al., Nature Methods 2021: 32 to 320 features, six stages,
windows of 32 x 256 x 256 voxels that overlap by half; its eight mirrored readings are left out). `time` reads 32 slices
with each in ONNX Runtime, fp32, in turns, and counts the operations of every convolution and matrix product that ran.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import onnx
import onnxruntime as ort
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from appliance.reading import contract

FOLDER: Final = Path("var/peers")
SHIPPED: Final = Path("model_repository") / contract.DETECTOR / "1" / "model.onnx"
WINDOW: Final = "window.onnx"
MASK_RCNN: Final = "torchvision-mask-rcnn.onnx"
UNET: Final = "nnunet.onnx"
PATCH: Final = (32, 256, 256)
"""Voxels of a U-Net's window: as many as in nnU-Net's default of 128 x 128 x 128, and the whole height of a study."""
STEP: Final = PATCH[1] // 2
SLICES: Final = 32

Call = Callable[[ort.InferenceSession], object]

app = typer.Typer(help=__doc__, no_args_is_help=True)
Folder = Annotated[Path, typer.Option(help="Where the ONNX files lie")]


@app.command()
def export(folder: Folder = FOLDER) -> None:
    """Write the networks of PyTorch (needs the packages of benchmarks/peers.txt)."""
    import torch
    from dynamic_network_architectures.architectures.unet import PlainConvUNet
    from torchvision.models.detection import maskrcnn_resnet50_fpn

    folder.mkdir(parents=True, exist_ok=True)
    classes = len(contract.TYPES) + 1
    rcnn = maskrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=classes, min_size=contract.MATRIX, max_size=contract.MATRIX
    )
    unet = PlainConvUNet(
        input_channels=1,
        n_stages=6,
        features_per_stage=(32, 64, 128, 256, 320, 320),
        conv_op=torch.nn.Conv3d,
        kernel_sizes=((1, 3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3)),
        strides=((1, 1, 1), (1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2)),
        n_conv_per_stage=2,
        num_classes=classes,
        n_conv_per_stage_decoder=2,
        conv_bias=True,
        norm_op=torch.nn.InstanceNorm3d,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=torch.nn.LeakyReLU,
    )
    pictures, voxels = ([torch.rand(3, contract.MATRIX, contract.MATRIX)],), (torch.rand(1, 1, *PATCH),)
    for name, network, example in ((MASK_RCNN, rcnn, pictures), (UNET, unet, voxels)):
        torch.onnx.export(network.eval(), example, folder / name, opset_version=17, dynamo=False, input_names=["image"])
        typer.echo(f"{folder / name}: {sum(one.numel() for one in network.parameters()) / 1e6:.1f} million weights")


def read_by_chunk(hu: NDArray[np.float32]) -> Call:
    """Return a reader of a study hu [slices, 512, 512] as in the service: many slices a call, features shared."""

    def read(session: ort.InferenceSession) -> None:
        for indices in contract.chunks(len(hu)):
            session.run(None, {contract.INPUT: hu[indices]})

    return read


def read_by_window(hu: NDArray[np.float32]) -> Call:
    """Return a reader of a study with one call for each slice and its neighbours."""
    offsets = np.arange(-contract.CONTEXT_SLICES, contract.CONTEXT_SLICES + 1)

    def read(session: ort.InferenceSession) -> None:
        for z in range(len(hu)):
            session.run(None, {contract.INPUT: hu[np.clip(z + offsets, 0, len(hu) - 1)]})

    return read


def read_by_picture(hu: NDArray[np.float32]) -> Call:
    """Return a reader of a study with one call a slice: a picture of three equal channels, brain window."""

    def read(session: ort.InferenceSession) -> None:
        for one in hu:
            grey = np.clip(one / 80, 0, 1)
            session.run(None, {session.get_inputs()[0].name: np.stack([grey] * 3)})

    return read


def read_by_patch(hu: NDArray[np.float32]) -> Call:
    """Return a reader of a study in windows that overlap by half."""
    starts = range(0, hu.shape[1] - PATCH[1] + 1, STEP)

    def read(session: ort.InferenceSession) -> None:
        for top in starts:
            for left in starts:
                voxels = hu[: PATCH[0], top : top + PATCH[1], left : left + PATCH[2]]
                session.run(None, {session.get_inputs()[0].name: voxels[None, None] / 80})

    return read


def load(path: Path, threads: int, profile: Path | None = None) -> ort.InferenceSession:
    """Return a network in ONNX Runtime; with a profile's folder, unchanged by it and noting each node that runs."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # torchvision's graph has shapes that grow, and each is a warning
    if profile:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile / path.stem)
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def count_gflop(path: Path, read: Call, threads: int) -> float:
    """Return the GFLOP of a reading's convolutions and matrix products; a multiplication and an addition are two."""
    graph = onnx.load(path).graph
    shapes = {one.name: tuple(one.dims) for one in graph.initializer}
    weights = {node.name: shapes[node.input[1]] for node in graph.node if node.op_type in ("Conv", "ConvTranspose")}
    with tempfile.TemporaryDirectory() as folder:
        session = load(path, threads, Path(folder))
        read(session)
        events = json.loads(Path(session.end_profiling()).read_text())
    ran = [event for event in events if "output_type_shape" in event.get("args", {})]
    return sum(_flop(event["args"], weights.get(event["name"].removesuffix("_kernel_time"))) for event in ran) / 1e9


def _flop(node: Mapping[str, Any], weights: Sequence[int] | None) -> float:
    """Return the operations of a node that ran, from the shapes that ONNX Runtime noted and those of its weights."""
    given = float(np.prod(next(iter(node["input_type_shape"][0].values()))))
    made = next(iter(node["output_type_shape"][0].values()))
    match node["op_name"], weights:
        case "Conv", (_, *kernel):  # [out, in / groups, *kernel], once for each value made
            return 2.0 * float(np.prod(made)) * float(np.prod(kernel))
        case "ConvTranspose", (_, *kernel):  # [in, out / groups, *kernel], once for each value given
            return 2.0 * given * float(np.prod(kernel))
        case "MatMul" | "Gemm", _:
            return 2.0 * given * float(made[-1])
    return 0.0


@app.command("time")
def time_peers(
    folder: Folder = FOLDER,
    shipped: Annotated[Path, typer.Option(help="The detector that ships")] = SHIPPED,
    rounds: Annotated[int, typer.Option(min=1, help="How often each is timed")] = 5,
    threads: Annotated[int, typer.Option(min=1, help="Of ONNX Runtime")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of the table")] = False,
) -> None:
    """Read 32 slices with each network, in turns (needs .venv)."""
    from benchmarks.network import compare, study, time_in_turns

    hu = study(SLICES).astype(np.float32)
    ways = {
        "shared features (shipped)": (shipped, read_by_chunk(hu)),
        "one window a call": (folder / WINDOW, read_by_window(hu)),
        "torchvision mask R-CNN": (folder / MASK_RCNN, read_by_picture(hu)),
        "nnU-Net's U-Net": (folder / UNET, read_by_patch(hu)),
    }
    lacking = [str(path) for path, _ in ways.values() if not path.is_file()]
    if lacking:
        raise typer.BadParameter(f"{', '.join(lacking)} not there; `--help` says what writes it")
    base = next(iter(ways))

    def bound(path: Path, read: Call) -> Callable[[], object]:
        session = load(path, threads)
        return lambda: read(session)

    with Progress(console=Console(stderr=True), transient=True) as progress:
        counting = progress.add_task("counting operations", total=len(ways))
        gflop = {}
        for name, (path, read) in ways.items():
            gflop[name] = count_gflop(path, read, threads)
            progress.advance(counting)
        seconds = time_in_turns(
            {name: bound(*way) for name, way in ways.items()}, rounds, progress, "32 slices, in turns"
        )
    figures = compare(seconds, base)
    for name, one in figures.items():
        one["gflop"] = gflop[name]
    if as_json:
        report = {"threads": threads, "rounds": rounds, "load_at_end": round(os.getloadavg()[0], 1), "ways": figures}
        typer.echo(json.dumps(report, indent=2))
        return
    table = Table("", "GFLOP", "p50 s", "min", "max", "ratio", "least", "most", title=f"32 slices, {threads} threads")
    for name, one in figures.items():
        times, ratio = one["seconds"], one["ratio"]
        cells = (times["p50"], times["min"], times["max"], ratio["p50"], ratio["min"], ratio["max"])
        table.add_row(name, f"{one['gflop']:.0f}", *(f"{cell:.2f}" for cell in cells))
    Console().print(table)


if __name__ == "__main__":
    app()
