# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The series classifier in a real Triton: it answers, and whatever goes wrong is no answer and nothing worse."""

from __future__ import annotations

import http.client
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from appliance.inference import series_classifier
from appliance.inference.detector import TritonDetector
from appliance.inference.series_classifier import PAUSE_S, TIMEOUT_S, SeriesClassifier
from appliance.inference.server import TritonServer
from appliance.reading.series import CLASSES, CLASSIFIER, SeriesClass
from appliance.sections.triton import TritonSettings
from tests.appliance.inference.blob_detector import write_repository
from tests.appliance.inference.bright_classifier import add_to_repository, thumbnails
from tests.appliance.inference.clock import Clock
from tests.appliance.inference.ports import triton_settings
from tests.appliance.running import until

SHOWN = thumbnails(SeriesClass.SHARP, SeriesClass.SOFT_TISSUE, SeriesClass.CONTRAST)


def name_classes(probabilities: np.ndarray | None) -> list[SeriesClass] | None:
    return None if probabilities is None else [CLASSES[index] for index in probabilities.argmax(axis=1)]


def is_loaded(settings: TritonSettings) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", settings.http_port, timeout=60)
    try:
        connection.request("GET", f"/v2/models/{CLASSIFIER}/ready")
        return connection.getresponse().status == 200
    finally:
        connection.close()


def model_process(settings: TritonSettings) -> int:
    """Return the process of the classifier in this test's Triton."""
    region = f"triton_python_backend_shm_region_{settings.grpc_port}_"
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_text(errors="replace")
        except OSError:
            continue
        if f"/{CLASSIFIER}/" in arguments and region in arguments:
            return int(path.parent.name)
    raise AssertionError("no process of the classifier")


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried here is what is answered, not how fast: a busy machine may take its time."""
    monkeypatch.setattr(series_classifier, "TIMEOUT_S", 30.0)


def ask_until_answered(classifier: SeriesClassifier, clock: Clock, server: TritonServer) -> list[SeriesClass] | None:
    """Ask again after each pause, and start the server anew where it ended, as the supervisor does."""
    end = time.monotonic() + 300
    while time.monotonic() < end:
        clock.now += PAUSE_S + 1
        if (found := classifier.classify(SHOWN)) is not None:
            return name_classes(found)
        if server.exit_status() is not None:
            server.stop()
            server.start()
        time.sleep(0.2)
    return None


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonSettings]:
    """A running Triton with the small detector and the small classifier."""
    folder = tmp_path_factory.mktemp("both")
    write_repository(folder / "models")
    add_to_repository(folder / "models")
    settings = triton_settings(folder / "models")
    with TritonServer(settings, folder / "state"):
        yield settings


def test_a_started_server_has_the_classifier_loaded_and_it_says_what_each_series_looks_like(
    both: TritonSettings,
) -> None:
    assert is_loaded(both)
    classifier = SeriesClassifier(both)
    assert classifier.is_there()
    for shown in (SHOWN, SHOWN[:1]):
        found = classifier.classify(shown)
        assert found is not None
        assert found.shape == (len(shown), len(CLASSES))
        assert name_classes(found) == [SeriesClass.SHARP, SeriesClass.SOFT_TISSUE, SeriesClass.CONTRAST][: len(shown)]
        assert np.allclose(found.sum(axis=1), 1, atol=1e-5)
    classifier.close()


def test_a_model_process_that_ended_is_no_answer_for_a_while_and_then_there_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Triton itself may abort with it: when the process died with a lock that both share."""
    write_repository(tmp_path / "models")
    add_to_repository(tmp_path / "models")
    settings = triton_settings(tmp_path / "models")
    with TritonServer(settings, tmp_path / "state") as server:
        clock = Clock()
        classifier = SeriesClassifier(settings, clock)
        assert name_classes(classifier.classify(SHOWN)) is not None
        dead = model_process(settings)
        os.kill(dead, signal.SIGKILL)
        with monkeypatch.context() as impatient:
            impatient.setattr(series_classifier, "TIMEOUT_S", TIMEOUT_S)
            assert classifier.classify(SHOWN) is None
            assert classifier.classify(SHOWN) is None  # within the pause, not asked
            clock.now += PAUSE_S + 1
            classifier.classify(SHOWN)  # the second time it is loaded anew, unless Triton has started another process
        found = ask_until_answered(classifier, clock, server)
        assert found == [SeriesClass.SHARP, SeriesClass.SOFT_TISSUE, SeriesClass.CONTRAST]
        assert model_process(settings) != dead
        classifier.close()


def test_a_server_that_ended_with_its_model_process_is_asked_again_once_it_was_started_anew(tmp_path: Path) -> None:
    write_repository(tmp_path / "models")
    add_to_repository(tmp_path / "models")
    settings = triton_settings(tmp_path / "models")
    with TritonServer(settings, tmp_path / "state") as server:
        clock = Clock()
        classifier = SeriesClassifier(settings, clock)
        assert name_classes(classifier.classify(SHOWN)) is not None
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        until(lambda: server.exit_status() is not None, "ended")
        assert classifier.classify(SHOWN) is None
        found = ask_until_answered(classifier, clock, server)
        assert found == [SeriesClass.SHARP, SeriesClass.SOFT_TISSUE, SeriesClass.CONTRAST]
        classifier.close()


def test_a_model_that_answers_too_late_while_it_is_loaded_is_not_loaded_again(
    both: TritonSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each load begins with an answer that is late on a busy machine: it would never end."""
    loads: list[str] = []
    loaded = threading.Event()

    def load(classifier: SeriesClassifier) -> None:
        loads.append("")
        loaded.wait(60)

    monkeypatch.setattr(SeriesClassifier, "_load_anew", load)
    monkeypatch.setattr(series_classifier, "TIMEOUT_S", 1e-6)
    clock = Clock()
    classifier = SeriesClassifier(both, clock)
    for _ in range(6):
        assert classifier.classify(SHOWN) is None
        clock.now += PAUSE_S + 1
    loaded.set()
    assert len(loads) == 1
    classifier._loading.join() if classifier._loading else None
    assert classifier.classify(SHOWN) is None
    assert len(loads) == 1  # the first late answer after it is not the second
    classifier.close()


def test_a_triton_without_the_model_gives_no_answer_and_goes_on_reading_heads(served: TritonSettings) -> None:
    classifier = SeriesClassifier(served)
    assert not classifier.is_there()
    assert classifier.classify(SHOWN) is None
    assert classifier.classify(SHOWN) is None
    classifier.close()
    detector = TritonDetector(served)
    assert detector.check_readiness()
    detector.close()


def test_a_triton_that_is_away_gives_no_answer_and_is_asked_again_after_a_while(tmp_path: Path) -> None:
    write_repository(tmp_path / "models")
    add_to_repository(tmp_path / "models")
    settings = triton_settings(tmp_path / "models")
    clock = Clock()
    classifier = SeriesClassifier(settings, clock)
    assert classifier.classify(SHOWN) is None
    with TritonServer(settings, tmp_path / "state") as server:
        assert classifier.classify(SHOWN) is None  # the pause is not over
        clock.now += PAUSE_S + 1
        assert ask_until_answered(classifier, clock, server) is not None
    classifier.close()


def test_a_classifier_of_another_contract_is_not_believed(tmp_path: Path) -> None:
    write_repository(tmp_path / "models")
    folder = add_to_repository(tmp_path / "models")
    config = folder / "configs" / "cpu.pbtxt"
    config.write_text(config.read_text().replace("soft_tissue,sharp", "sharp,soft_tissue"))
    settings = triton_settings(tmp_path / "models")
    with TritonServer(settings, tmp_path / "state"):
        assert is_loaded(settings)
        classifier = SeriesClassifier(settings)
        assert classifier.classify(SHOWN) is None
        classifier.close()


def test_a_classifier_that_does_not_load_keeps_no_server_from_starting(tmp_path: Path) -> None:
    write_repository(tmp_path / "models")
    (add_to_repository(tmp_path / "models") / "1" / "model.onnx").write_bytes(b"no model")
    settings = triton_settings(tmp_path / "models")
    with TritonServer(settings, tmp_path / "state"):
        assert not is_loaded(settings)
        detector = TritonDetector(settings)
        assert detector.check_readiness()
        detector.close()
