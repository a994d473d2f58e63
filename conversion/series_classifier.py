# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The series classifier as ONNX and in Triton's model repository, checked and compared with Keras on the way.

python -m conversion.series_classifier export
python -m conversion.series_classifier repository

Both profiles run the ONNX file: the CPU profile by the Python backend (`series_triton_model.py`), the GPU profile by
the ONNX Runtime backend of NVIDIA's container, so that nothing has to be built on a site for so small a network.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray

from appliance.reading import series
from conversion.checks import FORBIDDEN, OPSET, UnfitModelError

if TYPE_CHECKING:
    import keras

ROOT: Final = Path(__file__).parent.parent
WEIGHTS: Final = ROOT / "training/weights/series_classifier.weights.h5"
EXPORTED: Final = ROOT / "var/conversion/series_classifier.onnx"
MODEL_CODE: Final = Path(__file__).parent / "series_triton_model.py"
MOST_DIFFERENCE: Final = 1e-4
"""The largest difference between the probabilities of Keras and of ONNX Runtime."""
PROFILES: Final = ("cpu", "gpu", "gpu-datacentre")


def onnx_model(network: keras.Model, metadata: Mapping[str, str]) -> onnx.ModelProto:
    """Return the network as an ONNX model with the contract's input and output."""
    import tensorflow as tf
    import tf2onnx

    shown = tf.TensorSpec((None, *series.INPUT_SHAPE), tf.uint8, name=series.INPUT)
    # Keras names its output itself; the identity carries the contract's name.
    model, _ = tf2onnx.convert.from_function(
        tf.function(lambda x: {series.OUTPUT: tf.identity(network(x, training=False))}, autograph=False),
        input_signature=[shown],
        opset=OPSET,
    )
    model.graph.name = series.CLASSIFIER
    model.producer_name, model.producer_version = "hemorrhage appliance, conversion", ""
    onnx.helper.set_model_props(model, dict(metadata))
    return model  # type: ignore[no-any-return]


def model_metadata(weights: Path, origin: Mapping[str, Any], version: int = 1) -> dict[str, str]:
    """Return everything the exported model says of itself: the contract, its version, and its origin."""
    return series.metadata() | {
        "model_name": series.CLASSIFIER,
        "model_version": str(version),
        "weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "provenance": json.dumps(origin, sort_keys=True),
        "use": "research use, trained on simulated scans; not a medical device",
    }


def check(model: onnx.ModelProto) -> None:
    """Raise `UnfitModelError` unless the model is valid, on the contract, and free of what runtimes refuse."""
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise UnfitModelError(f"not a valid ONNX model: {error}") from error
    faults = [f"node {node.name} is a {node.op_type}" for node in model.graph.node if node.op_type in FORBIDDEN]
    for found, wanted in (
        ([_border(value) for value in model.graph.input], (series.INPUT, "uint8", series.INPUT_SHAPE)),
        ([_border(value) for value in model.graph.output], (series.OUTPUT, "float32", (len(series.CLASSES),))),
    ):
        if found != [wanted]:
            faults.append(f"an end of the graph is {found}, not {wanted}")
    said = {prop.key: prop.value for prop in model.metadata_props}
    faults += [
        f"the metadata say {key} = {said.get(key)!r}, the contract {value!r}"
        for key, value in series.metadata().items()
        if said.get(key) != value
    ]
    if faults:
        raise UnfitModelError("; ".join(faults))


def _border(value: onnx.ValueInfoProto) -> tuple[str, str, tuple[int, ...]]:
    """Return name, dtype and shape of an input or output, without the number of series."""
    tensor = value.type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    return value.name, dtype, tuple(dim.dim_value for dim in tensor.shape.dim)[1:]


def random_thumbnails(seed: int, count: int = series.MOST_SERIES) -> NDArray[np.uint8]:
    """Return smooth random thumbnails [count, *INPUT_SHAPE]: blobs of every size and brightness."""
    rng = np.random.default_rng(seed)
    size = series.SIZE // 8
    coarse = rng.integers(0, 256, (count, series.INPUT_SHAPE[0], size, size, series.INPUT_SHAPE[-1]), np.uint8)
    return np.repeat(np.repeat(coarse, 8, axis=2), 8, axis=3)


def largest_difference(network: keras.Model, model: onnx.ModelProto) -> float:
    """Return the largest difference of ONNX Runtime's probabilities from Keras's, on random thumbnails."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    worst = 0.0
    for seed, count in enumerate((1, 3, series.MOST_SERIES)):
        shown = random_thumbnails(seed, count)
        (found,) = session.run([series.OUTPUT], {series.INPUT: shown})
        worst = max(worst, float(np.abs(found - np.asarray(network(shown, training=False))).max()))
    return worst


def config(profile: str, said: Mapping[str, str]) -> str:
    """Return the text of config.pbtxt for a profile, with what the model says of itself."""
    shape = ", ".join(map(str, series.INPUT_SHAPE))
    lines = [
        "# Written by `python -m conversion.series_classifier repository` from appliance/reading/series.py; "
        "change it there.",
        f'name: "{series.CLASSIFIER}"',
        'backend: "python"' if profile == "cpu" else 'backend: "onnxruntime"',
        "# A request holds the series of one study.",
        f"max_batch_size: {series.MOST_SERIES}",
        f'input [\n  {{ name: "{series.INPUT}" data_type: TYPE_UINT8 dims: [ {shape} ] }}\n]',
        f'output [\n  {{ name: "{series.OUTPUT}" data_type: TYPE_FP32 dims: [ {len(series.CLASSES)} ] }}\n]',
        f"instance_group [ {{ count: 1 kind: KIND_{'CPU' if profile == 'cpu' else 'GPU'} }} ]",
        "version_policy: { latest: { num_versions: 1 } }",
    ]
    lines += [
        f"parameters: {{ key: {json.dumps(key)} value: {{ string_value: {json.dumps(value)} }} }}"
        for key, value in said.items()
    ]
    return "\n".join(lines) + "\n"


def lay_out(model: Path, out: Path, version: int = 1) -> Path:
    """Write the classifier's folder into the repository `out` and return it. Raises `UnfitModelError`."""
    loaded = onnx.load(str(model))
    check(loaded)
    said = {prop.key: prop.value for prop in loaded.metadata_props}
    said["onnx_sha256"] = hashlib.sha256(model.read_bytes()).hexdigest()
    folder = out / series.CLASSIFIER
    (folder / "configs").mkdir(parents=True, exist_ok=True)
    (folder / "config.pbtxt").write_text(config("cpu", said))
    for profile in PROFILES:
        (folder / "configs" / f"{profile}.pbtxt").write_text(config(profile, said))
    place = folder / str(version)
    place.mkdir(exist_ok=True)
    shutil.copyfile(MODEL_CODE, place / "model.py")
    if model.resolve() != (place / "model.onnx").resolve():
        shutil.copyfile(model, place / "model.onnx")
    return folder


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit status: 1 where the exported model differs from the trained one."""
    parser = argparse.ArgumentParser(prog="python -m conversion.series_classifier")
    parser.add_argument("command", choices=("export", "repository"))
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--onnx", type=Path, default=EXPORTED)
    parser.add_argument("--out", type=Path, default=ROOT / "model_repository")
    given = parser.parse_args(arguments)
    if given.command == "repository":
        print(lay_out(given.onnx, given.out))
        return 0
    from training.series_classifier.network import load_network

    network = load_network(given.weights)
    origin = json.loads(given.weights.with_name("series_classifier.json").read_text())
    model = onnx_model(network, model_metadata(given.weights, origin))
    check(model)
    difference = largest_difference(network, model)
    print(f"ONNX Runtime against Keras: probabilities differ by {difference:.1e} at most")
    if difference > MOST_DIFFERENCE:
        print("the exported model differs from the trained one; nothing was written", file=sys.stderr)
        return 1
    given.onnx.parent.mkdir(parents=True, exist_ok=True)
    given.onnx.write_bytes(model.SerializeToString())
    print(f"{given.onnx} ({given.onnx.stat().st_size / 1e6:.2f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
