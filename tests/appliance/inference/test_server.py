# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.errors import SettingsError, UnavailableError
from appliance.inference.detector import TritonDetector
from appliance.inference.regions import remove_stale_regions
from appliance.inference.server import TritonServer
from appliance.reading.contract import DETECTOR
from appliance.sections.triton import TritonSettings
from tests.appliance.inference.ports import ENVIRONMENT, triton_settings
from tests.appliance.running import until

REGIONS = "triton_python_backend_shm_region_"


def answer(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def is_listening(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((address, port)) == 0


def regions_of(settings: TritonSettings) -> list[Path]:
    return list(Path("/dev/shm").glob(f"{REGIONS}{settings.grpc_port}_*"))


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_started_server_has_the_detector_loaded_and_shows_metrics(served: TritonSettings) -> None:
    assert answer(served.http_port, f"/v2/models/{DETECTOR}/ready")[0] == 200
    status, text = answer(served.metrics_port, "/metrics")
    assert status == 200
    assert f'nv_inference_count{{model="{DETECTOR}"' in text


def test_the_server_listens_on_loopback_only(served: TritonSettings) -> None:
    loopback = ("0100007F", "0000000000000000FFFF00000100007F")  # 127.0.0.1, in an IPv6 socket too
    lines = [line for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()[1:]]
    listening = [line.split()[1].split(":") for line in lines if line.split()[3] == "0A"]
    for port in (served.http_port, served.grpc_port, served.metrics_port):
        addresses = [address for address, hexadecimal in listening if int(hexadecimal, 16) == port]
        assert addresses
        assert set(addresses) <= set(loopback)


def test_without_the_secret_a_server_tells_of_its_health_and_does_nothing(repository: Path, tmp_path: Path) -> None:
    settings = triton_settings(repository, secret="of-this-test")
    with TritonServer(settings, tmp_path / "state"):
        for method, path in (
            ("POST", f"/v2/repository/models/{DETECTOR}/unload"),
            ("POST", "/v2/repository/index"),
            ("GET", "/v2/systemsharedmemory/status"),
            ("POST", "/v2/systemsharedmemory/region/x/register"),
            ("POST", f"/v2/models/{DETECTOR}/infer"),
            ("POST", "/v2/logging"),
            ("POST", "/v2/trace/setting"),
            ("GET", "/v2"),
        ):
            assert answer(settings.http_port, path, method)[0] == 403, path
        assert answer(settings.http_port, "/v2/health/ready")[0] == 200
        assert answer(settings.http_port, f"/v2/models/{DETECTOR}/ready")[0] == 200
        assert TritonDetector(settings).identity.name == DETECTOR
        for secret in ("", "another"):
            with pytest.raises(UnavailableError, match=r"set triton\.secret"):
                TritonDetector(settings.model_copy(update={"secret": secret}))


def test_a_stopped_server_leaves_no_process_no_port_and_no_shared_memory(repository: Path, tmp_path: Path) -> None:
    settings = triton_settings(repository)
    server = TritonServer(settings, tmp_path / "state")
    server.start()
    pid = server.pid
    assert pid is not None
    assert regions_of(settings)
    server.stop()
    assert server.pid is None
    assert not is_running(pid)
    assert not is_listening("127.0.0.1", settings.grpc_port)
    assert not regions_of(settings)
    server.stop()  # once more does no harm


def test_a_second_start_while_it_runs_changes_nothing_and_after_a_stop_starts_it_again(
    repository: Path, tmp_path: Path
) -> None:
    server = TritonServer(triton_settings(repository), tmp_path / "state")
    with server:
        first = server.pid
        server.start()
        assert server.pid == first
    with server:
        assert server.pid not in (None, first)
        assert server.log.with_name("triton.log.1").exists()


def test_a_missing_model_folder_is_a_setting_to_correct(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"model_repository.*hemorrhage_detector is not there"):
        TritonServer(triton_settings(tmp_path / "nothing"), tmp_path / "state").start()


def test_a_missing_profile_is_a_setting_to_correct(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"gpu\.pbtxt is not there"):
        TritonServer(triton_settings(repository, profile="gpu"), tmp_path / "state").start()


def test_an_environment_without_tritonserver_is_a_setting_to_correct(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"triton\.environment.*no tritonserver"):
        TritonServer(triton_settings(repository, environment=tmp_path), tmp_path / "state").start()


def test_a_server_on_another_machine_cannot_be_started_from_here(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"triton\.host = 'triton\.example'.*this machine only"):
        TritonServer(triton_settings(repository, host="triton.example"), tmp_path / "state").start()


def test_a_taken_port_is_named(repository: Path, tmp_path: Path) -> None:
    settings = triton_settings(repository)
    with socket.socket() as other:
        other.bind(("127.0.0.1", settings.metrics_port))
        other.listen()
        with pytest.raises(UnavailableError, match=rf"triton\.metrics_port = {settings.metrics_port} is taken"):
            TritonServer(settings, tmp_path / "state").start()


def test_without_a_version_that_loads_the_start_fails_and_says_why_for_each(repository: Path, tmp_path: Path) -> None:
    (repository / DETECTOR / "1" / "model.onnx").write_bytes(b"not a model")
    site_models = tmp_path / "site"
    settings = triton_settings(repository)
    server = TritonServer(settings, tmp_path / "state", site_models=site_models)
    unreadable = r"(InvalidProtobuf|Protobuf parsing failed)"
    nothing = r"tritonserver loads no version of the detector: hemorrhage_detector: "
    with pytest.raises(UnavailableError, match=rf"(?s){nothing}.*{unreadable}.*its log is .*triton\.log\n  \| "):
        server.start()
    assert server.pid is None
    (site_models / f"{DETECTOR}_2").mkdir()
    with pytest.raises(UnavailableError, match=rf"(?s){nothing}.*{unreadable}.*; hemorrhage_detector_2: .*failed to"):
        server.start()
    assert server.pid is None
    assert not regions_of(settings)


@pytest.mark.parametrize("path", [f"/v2/models/{DETECTOR}/ready", "/v2/repository/index"])
def test_a_server_that_answers_late_is_asked_again_for_the_shipped_detector(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    site_models = tmp_path / "site"
    shutil.copytree(repository / DETECTOR, site_models / f"{DETECTOR}_2")
    server = TritonServer(triton_settings(repository), tmp_path / "state", site_models=site_models)
    late = [TimeoutError("timed out"), http.client.RemoteDisconnected("closed")]
    not_ready = [f"/v2/models/{DETECTOR}/ready"] * 2 if path == "/v2/repository/index" else []
    asked: list[str] = []
    ask = server._request

    def request(method: str, what: str, timeout_s: float) -> tuple[int, str]:
        asked.append(what)
        if what == path and late:
            raise late.pop()
        if what in not_ready:
            not_ready.remove(what)
            return 400, ""
        return ask(method, what, timeout_s)

    monkeypatch.setattr(server, "_request", request)
    with server:
        assert server.pid is not None
        assert not late
        assert not [what for what in asked if what.endswith("/load")]


def test_whatever_form_the_answer_about_the_shipped_detector_has_the_start_says_it(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = TritonServer(triton_settings(repository), tmp_path / "state")
    answers = {f"/v2/models/{DETECTOR}/ready": (400, ""), "/v2/repository/index": (500, '{"error": "no index"}')}
    ask = server._request
    monkeypatch.setattr(
        server, "_request", lambda method, path, timeout_s: answers.get(path) or ask(method, path, timeout_s)
    )
    with pytest.raises(UnavailableError, match=rf'no version of the detector: {DETECTOR}: {{"error": "no index"}}'):
        server.start()


def test_a_server_that_crashes_while_it_loads_is_started_once_more(repository: Path, tmp_path: Path) -> None:
    """The environment's tritonserver is a script that aborts when `crashes` says so, and else runs the real one."""
    (real,) = ENVIRONMENT.glob("lib/python3.*/site-packages")
    environment = tmp_path / "environment"
    packages = environment / real.relative_to(ENVIRONMENT)
    program = packages / "pytriton" / "tritonserver" / "bin" / "tritonserver"
    program.parent.mkdir(parents=True)
    program.write_text(
        "#!/bin/sh\n"
        f'if [ -s "{tmp_path}/crashes" ]; then sed -i 1d "{tmp_path}/crashes"; echo crashed; kill -ABRT $$; fi\n'
        f'exec "{real}/pytriton/tritonserver/bin/tritonserver" "$@"\n'
    )
    program.chmod(0o755)
    for part in ("backends", "python_backend_stubs"):
        (program.parents[1] / part).symlink_to(real / "pytriton" / "tritonserver" / part)
    for package in real.iterdir():
        if package.name != "pytriton":
            (packages / package.name).symlink_to(package)
    for part in ("bin", "pyvenv.cfg"):
        (environment / part).symlink_to(ENVIRONMENT / part)
    settings = triton_settings(repository, environment=environment)

    (tmp_path / "crashes").write_text("once\n")
    with TritonServer(settings, tmp_path / "state") as server:
        assert server.pid is not None
        assert "crashed" in server.log.with_name("triton.log.1").read_text()

    (tmp_path / "crashes").write_text("once\ntwice\n")
    with pytest.raises(UnavailableError, match=r"(?s)ended with status -6.*crashed"):
        TritonServer(settings, tmp_path / "state").start()


def test_the_server_ends_with_the_process_that_started_it(repository: Path, tmp_path: Path) -> None:
    settings = triton_settings(repository)
    (tmp_path / "settings.json").write_text(settings.model_dump_json())
    program = (
        "import sys, time, pathlib\n"
        "from appliance.inference.server import TritonServer\n"
        "from appliance.sections.triton import TritonSettings\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "settings = TritonSettings.model_validate_json((folder / 'settings.json').read_text())\n"
        "server = TritonServer(settings, folder / 'state')\n"
        "server.start()\n"
        "print(server.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    root = Path(__file__).parents[3]
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], cwd=root, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    try:
        assert is_running(pid)
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
    until(lambda: not is_running(pid), "ended")


def test_what_a_killed_server_left_in_shared_memory_is_removed_at_the_next_start(
    repository: Path, tmp_path: Path
) -> None:
    settings = triton_settings(repository)
    left = Path(f"/dev/shm/{REGIONS}{settings.grpc_port}_left-by-a-killed-server")
    others = Path(f"/dev/shm/{REGIONS}of-another-server-{os.getpid()}")
    for region in (left, others):
        region.write_bytes(bytes(1024))
    try:
        with TritonServer(settings, tmp_path / "state") as server:
            assert not left.exists()
            assert others.exists()
            assert server.pid is not None
            os.kill(server.pid, signal.SIGKILL)
            until(lambda: server.pid is None, "ended")
            server.start()
            assert server.pid is not None
    finally:
        left.unlink(missing_ok=True)
        others.unlink()
    assert not regions_of(settings)


def test_a_region_that_a_running_process_maps_is_never_removed(served: TritonSettings) -> None:
    before = regions_of(served)
    assert before
    assert remove_stale_regions(REGIONS + str(served.grpc_port)) == []
    assert regions_of(served) == before


def test_onnx_runtime_sends_nothing_to_its_makers_and_keeps_no_number_of_this_machine(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    with TritonServer(triton_settings(repository), tmp_path / "state") as server:
        assert server.pid is not None
        # It keeps a database of what it will send, and a number for this machine, from its first session on.
        assert list((tmp_path / "home").rglob("*")) == []


def test_the_python_variables_of_this_process_do_not_reach_the_model_process(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "onnxruntime.py").write_text("raise ImportError('taken from PYTHONPATH')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with TritonServer(triton_settings(repository), tmp_path / "state") as server:
        assert server.pid is not None
