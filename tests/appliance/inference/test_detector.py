# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tritonclient.grpc import InferenceServerClient

from appliance.errors import ModelContractError, UnavailableError
from appliance.inference import choice, tritons
from appliance.inference.detector import TritonDetector
from appliance.inference.patience import LEAST_S, Patience
from appliance.inference.regions import free_regions_of_dead_models, model_processes, region_prefix
from appliance.inference.served_model import SHIPPED, Target, checked_model
from appliance.inference.server import TritonServer
from appliance.inference.stream import write_chunk
from appliance.reading import contract
from appliance.reading.contract import HemorrhageType
from appliance.reading.detections import Box
from appliance.reading.golden import golden_chunk
from appliance.reading_room import ReadingRoom
from appliance.sections.triton import TritonSettings
from appliance.settings import Settings
from tests.appliance.inference.blob_detector import SUGGESTED_THRESHOLD, answers, onnx_model, write_repository
from tests.appliance.inference.ports import triton_settings


@pytest.fixture
def detector(served: TritonSettings) -> Iterator[TritonDetector]:
    detector = TritonDetector(served)
    yield detector
    detector.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., TritonServer]]:
    """Start a Triton of the test's own on a small detector with these properties."""
    started: list[TritonServer] = []

    def start_one(settings: TritonSettings, **model: Any) -> TritonServer:
        write_repository(settings.model_repository, **model)
        started.append(TritonServer(settings, tmp_path / "state"))
        started[-1].start()
        return started[-1]

    yield start_one
    for server in started:
        server.stop()


def head(slices: int, *blood: tuple[int, int, int]) -> np.ndarray:
    """Return [slices, 512, 512] of 33 HU with 66 HU in the 112 px cells (slice, row, column) of `blood`."""
    hu = np.full((slices, 512, 512), 33, np.int16)
    for z, row, column in blood:
        hu[z, 32 + 112 * row : 144 + 112 * row, 32 + 112 * column : 144 + 112 * column] = 66
    return hu


def kill_model_process(settings: TritonSettings) -> None:
    ((process, _),) = model_processes(f"triton_python_backend_shm_region_{settings.grpc_port}_")
    os.kill(process, signal.SIGKILL)


def shared_memory_of_this_process() -> list[str]:
    return [path.name for path in Path("/dev/shm").glob(f"hemorrhage-*-{os.getpid()}-*")]


def test_blood_comes_back_on_its_slice_in_its_box_with_its_type(detector: TritonDetector) -> None:
    reading = detector.read(head(20, (3, 1, 3), (17, 2, 0)))
    found = {(one.slice_index, one.type, one.box) for one in reading.detections}
    assert found == {
        (3, HemorrhageType.IPH, Box(144, 368, 256, 480)),
        (17, HemorrhageType.EDH_SDH, Box(256, 32, 368, 144)),
    }
    for one in reading.detections:
        assert one.score == pytest.approx(0.98)
        assert one.mask.shape == (56, 56)
        assert one.mask.min() == 1
    assert reading.model == detector.identity


@pytest.mark.parametrize("slices", [1, 15, 16, 17, 32, 33, 70])
def test_every_slice_of_a_study_is_read_once_whatever_its_length(detector: TritonDetector, slices: int) -> None:
    hu = head(slices, *((z, z % 4, 2) for z in range(slices)))
    reading = detector.read(hu)
    assert [one.slice_index for one in reading.detections] == list(range(slices))
    assert all(one.slice_index < slices for one in reading.dismissed)
    assert reading.dismissed


@pytest.mark.parametrize("slices", [17, 33])
def test_a_slice_left_over_keeps_its_faint_detections_beside_many_strong_ones(
    detector: TritonDetector, slices: int
) -> None:
    cells = [(row, column) for row in range(4) for column in range(4)]
    hu = head(slices, *((slices - 1, row, column) for row, column in cells[:8]))
    for row, column in cells[8:]:  # an eighth of the cell: half the score
        hu[-1, 32 + 112 * row : 46 + 112 * row, 32 + 112 * column : 144 + 112 * column] = 66
    reading = detector.read(hu)
    assert [one.slice_index for one in reading.detections] == [slices - 1] * len(cells)
    assert sum(one.score < 0.6 for one in reading.detections) == 8


@pytest.mark.parametrize("slices", [16, 17, 31, 33, 70])
def test_no_slice_is_a_target_twice_in_a_chunk_and_context_is_the_true_neighbour(slices: int) -> None:
    for number, index in enumerate(contract.chunks(slices)):
        first = index[contract.CONTEXT_SLICES]
        assert first <= number * contract.CHUNK_SLICES
        offsets = np.arange(contract.CHUNK_INPUT_SLICES) - contract.CONTEXT_SLICES
        np.testing.assert_array_equal(index, np.clip(first + offsets, 0, slices - 1))
        targets = index[contract.CONTEXT_SLICES : -contract.CONTEXT_SLICES]
        assert len(set(targets)) == contract.CHUNK_SLICES


def test_the_answer_is_the_one_that_onnx_runtime_gives_in_this_process(detector: TritonDetector) -> None:
    chunk = golden_chunk()
    expected = answers(onnx_model().SerializeToString(), chunk)
    reading = detector.read(chunk[2:18])
    # The volume's ends repeat, the chunk has its own context: this small detector looks at target slices alone.
    assert len(reading.detections) == expected["detection_count"][0]
    for i, one in enumerate(reading.detections):
        assert one.slice_index == expected["detection_slice"][i]
        np.testing.assert_allclose(one.scores, expected["detection_score"][i], atol=1e-6)
        np.testing.assert_allclose(one.mask, expected["detection_mask"][i], atol=1e-6)
    for i, other in enumerate(reading.dismissed):
        assert other.slice_index == expected["dismissed_slice"][i]
        assert (other.box.y1, other.box.x1, other.box.y2, other.box.x2) == tuple(expected["dismissed_box"][i])


def test_a_reading_keeps_its_masks_when_the_memory_is_used_for_the_next(detector: TritonDetector) -> None:
    first = detector.read(head(1, (0, 0, 0)))
    kept = first.detections[0].mask.copy()
    detector.read(np.full((40, 512, 512), -1000, np.int16))
    np.testing.assert_array_equal(first.detections[0].mask, kept)


@pytest.mark.parametrize("input_dtype", ["FP16", "FP32", "INT16"])
@pytest.mark.parametrize("shared_memory", [True, False])
def test_each_dtype_gives_the_same_reading_by_shared_memory_and_by_message(
    start: Callable[..., TritonServer], tmp_path: Path, input_dtype: str, shared_memory: bool
) -> None:
    settings = triton_settings(tmp_path / "models", shared_memory=shared_memory)
    start(settings, input_dtype=input_dtype)
    detector = TritonDetector(settings)
    assert detector.check_readiness()
    hu = head(18, (0, 0, 0), (17, 3, 3))
    hu[:, 0] = 32767  # far outside of what FP16 could carry exactly
    hu[:, 1] = -32768
    reading = detector.read(hu)
    assert bool(shared_memory_of_this_process()) == shared_memory
    detector.close()
    assert not shared_memory_of_this_process()
    assert [(one.slice_index, one.type) for one in reading.detections] == [
        (0, HemorrhageType.EDH_SDH),
        (17, HemorrhageType.IPH),
    ]


def test_values_are_clipped_to_what_the_wire_carries() -> None:
    hu = np.full((3, 512, 512), 33, np.int16)
    hu[:, 0], hu[:, 1] = 32767, -32768
    for dtype in (np.int16, np.float16, np.float32):
        target = np.zeros(contract.INPUT_SHAPE, dtype)
        write_chunk(hu, contract.chunks(len(hu))[0], target)
        assert (target.min(), target.max()) == (-1024, 1024)
        assert (target[:, 2:] == 33).all()


@pytest.mark.parametrize(("rows", "columns"), [(256, 256), (768, 768), (1024, 1024), (512, 640), (400, 512)])
def test_another_matrix_is_resized_in_plane_and_its_blood_found_in_the_same_place(
    detector: TritonDetector, rows: int, columns: int
) -> None:
    hu = np.full((20, rows, columns), 33, np.int16)
    y1, y2, x1, x2 = (
        int(edge) for edge in np.rint(np.array([144, 256, 368, 480]) / 512 * [rows, rows, columns, columns])
    )
    hu[18, y1:y2, x1:x2] = 66
    strong = [one for one in detector.read(hu).detections if one.score > 0.5]
    assert [(one.slice_index, one.box) for one in strong] == [(18, Box(144, 368, 256, 480))]


def test_regions_are_made_once_and_given_back_on_both_sides(served: TritonSettings) -> None:
    detector = TritonDetector(served)
    detector.read(head(40))
    regions = set(shared_memory_of_this_process())
    detector.read(head(40))
    assert regions
    assert set(shared_memory_of_this_process()) == regions
    client = InferenceServerClient(f"127.0.0.1:{served.grpc_port}")
    assert regions <= set(client.get_system_shared_memory_status().regions)
    detector.close()
    assert not shared_memory_of_this_process()
    assert not regions & set(client.get_system_shared_memory_status().regions)
    client.close()


def test_what_a_killed_client_left_behind_is_cleared_by_the_next(served: TritonSettings) -> None:
    program = (
        "import os, signal, sys\n"
        "import numpy as np\n"
        "from appliance.inference.detector import TritonDetector\n"
        "from appliance.sections.triton import TritonSettings\n"
        "detector = TritonDetector(TritonSettings.model_validate_json(sys.argv[1]))\n"
        "detector.read(np.zeros((1, 512, 512), np.int16))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.Popen([sys.executable, "-c", program, served.model_dump_json()], cwd=Path(__file__).parents[3])
    assert killed.wait(240) == -signal.SIGKILL
    client = InferenceServerClient(f"127.0.0.1:{served.grpc_port}")

    def list_regions_left() -> list[str]:
        names = [path.name for path in Path("/dev/shm").iterdir()]
        names += client.get_system_shared_memory_status().regions
        return [name for name in names if name.startswith("hemorrhage-") and f"-{killed.pid}-" in name]

    assert list_regions_left()
    TritonDetector(served).close()
    assert not list_regions_left()
    client.close()


def test_regions_that_were_given_up_while_triton_did_not_answer_are_cleared_from_its_books(
    served: TritonSettings,
) -> None:
    detector = TritonDetector(served)
    detector.read(head(1))
    given_up = shared_memory_of_this_process()
    assert given_up
    for name in given_up:
        Path("/dev/shm", name).unlink()
    client = InferenceServerClient(f"127.0.0.1:{served.grpc_port}")
    assert set(given_up) <= set(client.get_system_shared_memory_status().regions)
    TritonDetector(served).close()
    assert not set(given_up) & set(client.get_system_shared_memory_status().regions)
    assert len(detector.read(head(40, (39, 0, 3))).detections) == 1
    detector.close()
    client.close()


def test_a_triton_that_is_away_is_unavailable_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"does not answer; start it, or set triton\.host"):
        TritonDetector(triton_settings(tmp_path))


def test_a_restarted_triton_is_followed_without_a_new_detector(
    start: Callable[..., TritonServer], tmp_path: Path
) -> None:
    settings = triton_settings(tmp_path / "models")
    server = start(settings)
    detector = TritonDetector(settings)
    hu = head(40, (39, 0, 3))
    before = detector.read(hu)
    assert detector.check_readiness()
    server.stop()
    with pytest.raises(UnavailableError, match="does not answer"):
        detector.read(hu)
    assert not detector.check_readiness()
    assert "does not answer" in detector.check_readiness().reason
    server.start()
    assert [one.box for one in detector.read(hu).detections] == [one.box for one in before.detections]
    assert detector.check_readiness()
    server.stop()
    server.start()  # restarted between two requests: the regions are unknown to the new server
    assert len(detector.read(hu).detections) == 1
    detector.close()


def test_a_triton_killed_in_the_middle_of_a_study_is_unavailable_and_read_again_later(
    start: Callable[..., TritonServer], tmp_path: Path
) -> None:
    settings = triton_settings(tmp_path / "models")
    server = start(settings, pause_s=0.5)
    detector = TritonDetector(settings)
    hu = head(64, (63, 0, 3))
    original = detector._stream.answers

    def kill_after_the_first(count: int, write: Any, go_on: Any = None) -> Iterator[Any]:
        for number, outputs in enumerate(original(count, write, go_on)):
            yield outputs
            if number == 0:
                assert server.pid is not None
                os.kill(server.pid, signal.SIGKILL)

    detector._stream.answers = kill_after_the_first  # type: ignore[method-assign]
    with pytest.raises(UnavailableError):
        detector.read(hu)
    assert not shared_memory_of_this_process()
    detector._stream.answers = original  # type: ignore[method-assign]
    server.stop()
    server.start()
    assert [one.slice_index for one in detector.read(hu).detections] == [63]
    detector.close()


def test_a_model_process_that_was_killed_is_started_again(start: Callable[..., TritonServer], tmp_path: Path) -> None:
    settings = triton_settings(tmp_path / "models")
    start(settings)
    detector = TritonDetector(settings)
    assert detector.check_readiness()
    kill_model_process(settings)
    with pytest.raises(UnavailableError, match="the model process had ended and was started again"):
        detector.read(head(1))
    assert len(detector.read(head(1, (0, 0, 0))).detections) == 1
    assert detector.check_readiness()
    kill_model_process(settings)
    (settings.model_repository / contract.DETECTOR / "1" / "model.onnx").unlink()
    with pytest.raises(UnavailableError, match=r"does not start again: .*restart Triton"):
        detector.read(head(1))
    detector.close()


def test_what_dead_model_processes_held_is_given_back_while_their_server_runs_on(
    start: Callable[..., TritonServer], tmp_path: Path
) -> None:
    settings = triton_settings(tmp_path / "models")
    start(settings)
    prefix = region_prefix(settings)

    def regions() -> set[Path]:
        return set(Path("/dev/shm").glob(f"{prefix}*"))

    detector = TritonDetector(settings)
    assert detector.check_readiness()
    assert free_regions_of_dead_models(prefix, settled_s=0) == []
    for _ in range(3):
        (of_the_dead,) = regions()
        descriptor = os.open(of_the_dead, os.O_RDONLY)
        kill_model_process(settings)
        with pytest.raises(UnavailableError, match="was started again"):
            detector.read(head(1))
        assert free_regions_of_dead_models(prefix) == []  # too young to tell
        assert free_regions_of_dead_models(prefix, settled_s=0) == [of_the_dead]
        assert os.fstat(descriptor).st_blocks == 0  # the server maps it still, and it holds no memory
        os.close(descriptor)
        assert len(detector.read(head(1, (0, 0, 0))).detections) == 1
        assert len(regions()) == 1
    detector.close()


def test_a_model_that_takes_too_long_is_unavailable_not_a_hang(
    start: Callable[..., TritonServer], tmp_path: Path
) -> None:
    settings = triton_settings(tmp_path / "models", timeout_s=0.3)
    start(settings, pause_s=3)
    detector = TritonDetector(settings)
    with pytest.raises(UnavailableError, match=r"no answer in time.*triton\.timeout_s"):
        detector.read(head(40))
    readiness = detector.check_readiness()
    assert not readiness
    assert "no answer in time" in readiness.reason
    detector.close()


def test_a_triton_that_freezes_in_the_middle_of_a_study_is_unavailable_and_used_again_when_it_goes_on(
    start: Callable[..., TritonServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = triton_settings(tmp_path / "models")
    pid = start(settings).pid or 0
    detector = TritonDetector(settings)
    assert detector.check_readiness()
    original = detector._stream.answers

    def freeze_after_the_first(count: int, write: Any, go_on: Any = None) -> Iterator[Any]:
        for number, outputs in enumerate(original(count, write, go_on)):
            yield outputs
            if number == 0:
                monkeypatch.setattr(choice, "CONTROL_TIMEOUT_S", 1.0)  # it does not answer anyway
                detector._stream.patience = Patience(longest_s=1)
                os.kill(pid, signal.SIGSTOP)

    detector._stream.answers = freeze_after_the_first  # type: ignore[method-assign]
    try:
        with pytest.raises(UnavailableError, match=r"no answer in time; it hangs"):
            detector.read(head(64))
        readiness = detector.check_readiness()
        assert not readiness
        assert "no answer in time; it hangs" in readiness.reason
    finally:
        os.kill(pid, signal.SIGCONT)
    monkeypatch.undo()
    detector._stream.answers = original  # type: ignore[method-assign]
    detector._stream.patience = Patience(settings.timeout_s)
    assert [one.slice_index for one in detector.read(head(40, (39, 0, 3))).detections] == [39]
    assert detector.check_readiness()
    detector.close()


def test_the_pace_of_the_golden_chunk_says_how_long_the_next_is_waited_for(served: TritonSettings) -> None:
    detector = TritonDetector(served.model_copy(update={"timeout_s": 3600}), first_wait_s=3600)
    assert detector.check_readiness()
    assert LEAST_S <= detector._stream.patience.seconds < 3600
    detector.close()


def test_a_model_exchanged_for_another_gets_its_own_identity(
    start: Callable[..., TritonServer], tmp_path: Path
) -> None:
    settings = triton_settings(tmp_path / "models")
    server = start(settings)
    detector = TritonDetector(settings)
    assert detector.identity.version == "blob-1"
    assert detector.suggested_threshold == SUGGESTED_THRESHOLD
    server.stop()
    sha256 = write_repository(
        settings.model_repository,
        input_dtype="FP32",
        parameters={contract.PARAMETER_MODEL_VERSION: "blob-2", contract.PARAMETER_THRESHOLD: "0.7"},
    )
    server.start()
    reading = detector.read(head(1, (0, 1, 1)))
    assert (reading.model.version, reading.model.sha256) == ("blob-2", sha256)
    assert detector.identity == reading.model
    assert detector.suggested_threshold == reading.suggested_threshold == 0.7
    assert len(reading.detections) == 1
    detector.close()


def test_a_model_of_another_contract_is_refused_with_what_differs(
    start: Callable[..., TritonServer], tmp_path: Path
) -> None:
    settings = triton_settings(tmp_path / "models")
    start(settings, parameters={"clip_hu": "1000.0", contract.PARAMETER_ONNX_SHA256: None})
    with pytest.raises(ModelContractError) as caught:
        TritonDetector(settings)
    assert "parameter clip_hu is '1000.0', not '240.0'" in str(caught.value)
    assert "parameter onnx_sha256 is missing" in str(caught.value)


def good_model() -> dict[str, Any]:
    types = {np.int32: "INT32", np.float32: "FP32"}
    return {
        "inputs": {contract.INPUT: ("INT16", contract.INPUT_SHAPE)},
        "outputs": {output.name: (types[output.dtype], output.shape) for output in contract.OUTPUTS},
        "parameters": {
            **contract.metadata(),
            contract.PARAMETER_MODEL_VERSION: "1",
            contract.PARAMETER_ONNX_SHA256: "0" * 64,
            contract.PARAMETER_THRESHOLD: "0.5",
            contract.PARAMETER_GOLDEN: "{}",
        },
    }


@pytest.mark.parametrize(
    ("where", "name", "value", "said"),
    [
        ("inputs", "hu", ("UINT8", contract.INPUT_SHAPE), "input hu is UINT8, not INT16, FP16, FP32"),
        ("inputs", "hu", ("FP32", (5, 512, 512)), "input hu is [5, 512, 512], not [20, 512, 512]"),
        ("inputs", "age", ("FP32", (1,)), "input age is unknown"),
        ("outputs", "detection_box", ("FP16", (128, 4)), "output detection_box is FP16 [128, 4], not float32 [128, 4]"),
        ("outputs", "detection_mask", ("FP32", (128, 28, 28)), "output detection_mask is FP32 [128, 28, 28]"),
        ("parameters", "contract_version", "7", "parameter contract_version is '7', not '1'"),
        ("parameters", "types", "", "parameter types is '', not 'iph,edh_sdh,sah'"),
        ("parameters", "suggested_threshold", "often", "parameter suggested_threshold is 'often', not a number"),
        (
            "parameters",
            "suggested_threshold",
            "0.01",
            "parameter suggested_threshold is '0.01', not a number from 0.05",
        ),
        ("parameters", "suggested_threshold", "nan", "parameter suggested_threshold is 'nan', not a number from 0.05"),
        ("parameters", "golden", "", "parameter golden is missing"),
    ],
)
def test_each_departure_from_the_contract_is_named(where: str, name: str, value: Any, said: str) -> None:
    model = good_model()
    assert checked_model(**model).input_dtype == "INT16"
    model[where][name] = value
    with pytest.raises(ModelContractError) as caught:
        checked_model(**model)
    assert said in str(caught.value)


def test_a_model_without_an_output_is_refused() -> None:
    model = good_model()
    del model["outputs"]["dismissed_box"]
    with pytest.raises(ModelContractError, match="output dismissed_box is missing"):
        checked_model(**model)


def other_of(settings: TritonSettings, *others: TritonSettings) -> TritonSettings:
    """Return settings that ask `others` while the first does not answer."""
    return settings.model_copy(update={"others": tuple(f"{one.host}:{one.grpc_port}" for one in others)})


def test_a_study_goes_to_the_next_triton_when_the_first_is_away_from_the_start(
    served: TritonSettings, repository: Path
) -> None:
    detector = TritonDetector(other_of(triton_settings(repository), served))
    assert len(detector.read(head(4, (1, 1, 3))).detections) == 1
    assert detector.check_readiness()
    detector.close()
    assert shared_memory_of_this_process() == []


def test_a_study_goes_to_the_next_triton_when_the_first_is_killed_in_the_middle_of_it(
    served: TritonSettings, repository: Path, start: Callable[..., TritonServer]
) -> None:
    first = triton_settings(repository)
    server = start(first)
    detector = TritonDetector(other_of(first, served))

    def kill() -> bool:
        if server.pid is not None:
            server.stop()
        return True

    reading = detector.read(head(70, *((z, z % 4, 2) for z in range(70))), go_on=kill)
    assert [one.slice_index for one in reading.detections] == list(range(70))
    detector.close()
    assert shared_memory_of_this_process() == []


def test_the_first_triton_is_asked_again_once_it_is_back(
    served: TritonSettings, repository: Path, start: Callable[..., TritonServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tritons, "_FIRST_AGAIN_S", 0.0)
    first = triton_settings(repository)
    detector = TritonDetector(other_of(first, served))
    start(first)
    stolen = served.model_copy(update={"host": "127.0.0.1", "grpc_port": 1})
    detector._tritons._endpoints = (first, stolen)  # the second one is away from now on
    assert len(detector.read(head(4, (1, 1, 3))).detections) == 1
    detector.close()


class AskedLedger:
    """Says that the shipped model answers, unless it is away."""

    def __init__(self) -> None:
        self.is_away = False

    def __call__(self) -> tuple[Target, ...]:
        if self.is_away:
            raise UnavailableError("the ledger does not answer")
        return (SHIPPED,)


def test_while_the_ledger_is_away_no_study_is_read_and_triton_is_well_and_asked_nothing_twice(
    served: TritonSettings, repository: Path
) -> None:
    ledger = AskedLedger()
    detector = TritonDetector(other_of(served, triton_settings(repository)), targets=ledger)
    assert detector.check_readiness()
    lanes = shared_memory_of_this_process()
    ledger.is_away = True
    assert detector.check_readiness()
    with pytest.raises(UnavailableError, match="the ledger does not answer"):
        detector.read(head(4))
    assert detector.check_readiness()
    assert detector.first_left == ""
    assert shared_memory_of_this_process() == lanes
    ledger.is_away = False
    assert len(detector.read(head(4, (1, 1, 3))).detections) == 1
    detector.close()


def test_a_triton_that_starts_while_the_ledger_is_away_is_well_and_reads_nothing_before_it_is_back(
    served: TritonSettings,
) -> None:
    ledger = AskedLedger()
    ledger.is_away = True
    room = ReadingRoom(Settings(triton=served))
    room.follow(ledger)
    room.probe()
    detector = room.pipeline().detector
    with pytest.raises(UnavailableError, match="the ledger does not answer"):
        detector.read(head(4))
    ledger.is_away = False
    assert len(detector.read(head(4, (1, 1, 3))).detections) == 1
    room.close()


def test_when_no_triton_answers_the_study_waits(repository: Path) -> None:
    first, second = triton_settings(repository), triton_settings(repository)
    with pytest.raises(UnavailableError, match="does not answer"):
        TritonDetector(other_of(first, second))


@pytest.mark.parametrize("wrong", ["10.0.0.9", "10.0.0.9:", "10.0.0.9:0", "10.0.0.9:70000", "http://a:8401", ":8401"])
def test_another_triton_is_named_by_host_and_port(wrong: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        TritonSettings(others=(wrong,))
    assert TritonSettings(others=("triton2.example:8401",)).others == ("triton2.example:8401",)


@pytest.mark.parametrize("later", ["wrong", "gone"])
def test_a_first_triton_that_answers_wrongly_gives_way_to_the_next_until_it_answers_rightly(
    served: TritonSettings,
    tmp_path: Path,
    start: Callable[..., TritonServer],
    monkeypatch: pytest.MonkeyPatch,
    later: str,
) -> None:
    """It is restarted once; then it is still wrong, or has no model any more: no engine of its serves."""
    monkeypatch.setattr(tritons, "_FIRST_AGAIN_S", 0.0)  # it is asked again before each study
    first = triton_settings(tmp_path / "models")
    server = start(first, wrong_at_first=True, later=later)
    detector = TritonDetector(other_of(first, served))
    for z in range(3):
        assert [one.slice_index for one in detector.read(head(4, (z, 1, 3))).detections] == [z]
        assert detector.check_readiness()
        assert (
            f"Triton at 127.0.0.1:{first.grpc_port} was left: the golden chunk came back wrong" in detector.first_left
        )
    loads = first.model_repository / contract.DETECTOR / "was_loaded"
    assert loads.stat().st_size == {"wrong": 2, "gone": 1}[later], "it was restarted more than once"
    again = TritonDetector(other_of(first, served))  # as after a restart of the service
    assert len(again.read(head(4, (1, 1, 3))).detections) == 1
    again.close()

    server.stop()
    write_repository(first.model_repository)
    server.start()
    assert len(detector.read(head(4, (1, 1, 3))).detections) == 1
    assert detector.first_left == ""
    detector.close()
