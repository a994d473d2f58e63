# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Starts and stops the Triton server that the `nvidia-pytriton` wheel contains, directly from the wheel.

The server binary, its Python backend and the model processes have a separate environment
(`TritonSettings.environment`). This module arranges the folder that Triton expects of a backend, the paths and the
options, waits until the detector is loaded, and removes what a killed server left in shared memory. It makes no
inference (`detector.py` does), and on a GPU site NVIDIA's container takes its place.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from appliance.errors import SettingsError, UnavailableError
from appliance.inference.client import LOAD_TIMEOUT_S, THIS_MACHINE, http_headers, restrictions
from appliance.inference.regions import (
    close_regions,
    model_processes,
    region_prefix,
    remove_regions_of_the_dead,
    remove_stale_regions,
)
from appliance.ports import require_free
from appliance.process import EndedError, Process, Server
from appliance.reading.contract import DETECTOR
from appliance.reading.series import CLASSIFIER
from appliance.sections.triton import TritonSettings

_PORTS: Final = ("http_port", "grpc_port", "metrics_port")
_CLASSIFIER_S: Final = 20.0
_CRASHES: Final = (-signal.SIGABRT, -signal.SIGSEGV)


class TritonServer(Server):
    """One tritonserver process, serving the detector on loopback.

    Parameters
    ----------
    settings
        Ports, model repository, profile and environment; `host` must be this machine.
    state_dir
        Folder for the server's log and its backend folder; made when it is not there.
    site_models
        A second model repository, with the versions that the site loaded; created if missing.
    die_with_parent
        Whether the server ends with this process, also when this process is killed. Works when `start` is called
        from the main thread (Linux counts the starting thread as the parent). False leaves the server to run on.
    keeps_log
        Whether its output goes to its log; otherwise it goes to this process's output.
    """

    def __init__(
        self,
        settings: TritonSettings,
        state_dir: Path,
        *,
        site_models: Path | None = None,
        die_with_parent: bool = True,
        keeps_log: bool = True,
    ) -> None:
        self._settings = settings
        self._site_models = site_models
        self._state_dir = state_dir.absolute()
        super().__init__(
            Process(
                "tritonserver",
                self._state_dir / "triton.log",
                die_with_parent=die_with_parent,
                last_signal=signal.SIGKILL,  # as `stop` does
                keeps_log=keeps_log,
            )
        )

    def start(self, timeout_s: float = 120) -> None:
        """Start the server and return when a version of the detector is loaded.

        That is the shipped one. If it does not load, one of the site's lets the server still be used: which version
        answers is the ledger's to say, and the service has Triton load that one.

        Raises
        ------
        SettingsError
            when the environment, the model repository or the profile is not there.
        UnavailableError
            when a port is taken, no version loads, or the server ends or is not ready within `timeout_s`: with the end
            of its log.
        """
        if self.pid is not None:
            return
        packages = self.check()
        backends = self._link_backends(packages)
        require_free({f"triton.{name}": getattr(self._settings, name) for name in _PORTS})
        command = self._command(packages, backends)
        try:
            self._launch(command, packages, timeout_s)
        except EndedError as error:
            if error.status not in _CRASHES:
                raise
            # On an overloaded machine Triton's Python backend can give up on its own lock and abort.
            self._launch(command, packages, timeout_s)

    def check(self) -> Path:
        """Return where the packages of its environment lie. Raises `SettingsError` as `start` does."""
        if self._settings.host not in THIS_MACHINE:
            raise SettingsError(
                f"triton.host = {self._settings.host!r}: a server can be started on this machine only; "
                "start that one there, or set 127.0.0.1"
            )
        self._check_model()
        return self._site_packages()

    def _command(self, packages: Path, backends: Path) -> list[str]:
        settings = self._settings
        command = [
            str(packages / "pytriton/tritonserver/bin/tritonserver"),
            f"--model-repository={settings.model_repository.absolute()}",
            f"--backend-directory={backends}",
            f"--backend-config=python,shm-region-prefix-name={self._region_prefix}",
            "--model-control-mode=explicit",
            f"--load-model={DETECTOR}",
            "--exit-on-error=false",  # the site's versions can be served without the shipped one
            "--disable-auto-complete-config",
            # A version that is loading, or failed to, must not make the server look ill while another one answers.
            "--strict-readiness=false",
            f"--model-config-name={settings.profile}",
            "--http-address=127.0.0.1",
            f"--http-port={settings.http_port}",
            "--http-thread-count=2",
            "--grpc-address=127.0.0.1",
            f"--grpc-port={settings.grpc_port}",
            "--allow-metrics=true",
            "--metrics-address=127.0.0.1",
            f"--metrics-port={settings.metrics_port}",
            "--exit-timeout-secs=5",
            "--log-format=ISO8601",
            *restrictions(settings),
            *trace_options(settings),
        ]
        if self._site_models is not None:
            self._site_models.mkdir(parents=True, exist_ok=True)
            command.append(f"--model-repository={self._site_models.absolute()}")
        if settings.profile == "cpu":
            command += ["--allow-gpu-metrics=false", "--pinned-memory-pool-byte-size=0"]
        return command

    def _launch(self, command: list[str], packages: Path, timeout_s: float) -> None:
        """Start the server and return when a detector is loaded; on failure leave nothing of it."""
        self._remove_leftovers()
        end = time.monotonic() + timeout_s
        try:
            self._process.launch(command, self._environment(packages), self._state_dir)
            self._process.wait_until(self._is_live, timeout_s)
            self._require_detector(end)
            self._load_classifier()
            close_regions(self._settings)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the server and its model processes, and remove what they left in shared memory.

        They are killed: Triton has nothing to save, and an orderly exit takes 3 s and, with a request in progress,
        leaves the model process behind.
        """
        self._process.kill()
        self._remove_leftovers()

    def _remove_leftovers(self) -> None:
        clear_shared_memory(self._settings)

    @property
    def _region_prefix(self) -> str:
        return region_prefix(self._settings)

    def _check_model(self) -> None:
        folder = self._settings.model_repository.absolute() / DETECTOR
        profile = folder / "configs" / f"{self._settings.profile}.pbtxt"
        version = next(folder.glob("[0-9]*"), folder / "1")
        for path in (folder, profile, version):
            if not path.exists():
                raise SettingsError(
                    f"triton.model_repository = {self._settings.model_repository}: {path} is not there; lay the "
                    "repository out with `python -m conversion repository`, or name the folder that holds it"
                )

    def _site_packages(self) -> Path:
        """Return the folder of the environment's packages, which contains tritonserver."""
        environment = self._settings.environment.absolute()
        found = sorted(environment.glob("lib/python3.*/site-packages/pytriton/tritonserver/bin/tritonserver"))
        if not found:
            raise SettingsError(
                f"triton.environment = {self._settings.environment}: no tritonserver in it; "
                "install environments/triton.lock there, or name the environment that has it"
            )
        return found[-1].parents[3]

    def _link_backends(self, packages: Path) -> Path:
        """Return a backend folder of links into the wheel, including the stub of the environment's Python.

        The wheel keeps a stub for each Python version apart from the backend; Triton looks for it beside the backend.
        """
        wheel = packages / "pytriton/tritonserver"
        version = packages.parent.name.removeprefix("python")
        parts = [
            wheel / "backends/python/libtriton_python.so",
            wheel / "backends/python/triton_python_backend_utils.py",
            wheel / "python_backend_stubs" / version / "triton_python_backend_stub",
        ]
        folder = self._state_dir / "triton-backends"
        (folder / "python").mkdir(parents=True, exist_ok=True)
        for part in parts:
            if not part.is_file():
                raise SettingsError(
                    f"triton.environment = {self._settings.environment}: {part} is not there; "
                    f"the wheel has stubs for some Python versions only, and this environment runs {version}"
                )
            link = folder / "python" / part.name
            if not (link.is_symlink() and link.readlink() == part):
                link.unlink(missing_ok=True)
                link.symlink_to(part)
        return folder

    def _environment(self, packages: Path) -> dict[str, str]:
        """Return the server's environment variables.

        The first python on PATH decides which environment the model processes see; nothing of the Python that runs
        this module may leak into them.
        """
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith("PYTHON") and name != "VIRTUAL_ENV"
        }
        binaries = self._settings.environment.absolute() / "bin"
        libraries = [str(packages / "nvidia_pytriton.libs"), os.environ.get("LD_LIBRARY_PATH", "")]
        kept["PATH"] = os.pathsep.join([str(binaries), os.environ.get("PATH", os.defpath)])
        kept["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, libraries))
        kept["PYTHONNOUSERSITE"] = "1"
        kept["PYTHONDONTWRITEBYTECODE"] = "1"  # the model repository is read, never written
        if self._settings.threads:
            kept["OMP_NUM_THREADS"] = str(self._settings.threads)
        kept["ORT_DISABLE_TELEMETRY"] = "1"  # ONNX Runtime's wheels send usage to Microsoft unless they are told not to
        kept["HEMORRHAGE_ENGINE"] = self._settings.engine
        return kept

    def _is_live(self) -> bool:
        """Return whether the server takes requests; it takes none before it has loaded its models, or failed to."""
        try:
            return self._request("GET", "/v2/health/live", timeout_s=5)[0] == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False

    def _require_detector(self, end: float) -> None:
        """Return once a version of the detector is loaded: the shipped one, or the first of the site's that loads.

        Raises `UnavailableError` when none is loaded by `end` (`time.monotonic`), with why not.
        """
        fault = self._shipped_fault(end)
        if not fault:
            return
        faults = [f"{DETECTOR}: {fault}"]
        for name in self._site_versions():
            fault = self._load(name, min(LOAD_TIMEOUT_S, end - time.monotonic()))
            if not fault:
                structlog.get_logger("triton").warning(
                    "the detector that came with the appliance does not load, another version was loaded",
                    loaded=name,
                    why="; ".join(faults),
                )
                return
            faults.append(f"{name}: {fault}")
        message = (
            f"tritonserver loads no version of the detector: {'; '.join(faults)}; its log is {self.log}\n"
            f"{self._process.tail()}"
        )
        status = self._process.exit_status()
        raise UnavailableError(message) if status is None else EndedError(message, status)

    def _shipped_fault(self, end: float) -> str:
        """Return why the shipped detector is not loaded, empty if it is, as soon as Triton says so.

        On a busy machine Triton may answer late, which is no fault of the detector. Raises `UnavailableError` when
        Triton has not answered by `end` (`time.monotonic`), or has ended.
        """
        told: list[str] = []

        def tells() -> bool:
            with suppress(OSError, http.client.HTTPException):
                told.append(self._ask_for_shipped())
            return bool(told)

        self._process.wait_until(tells, max(0.0, end - time.monotonic()))
        return told[0]

    def _ask_for_shipped(self) -> str:
        """Return what Triton says of why the shipped detector is not loaded, empty if it is.

        Raises `OSError` or `HTTPException` when Triton does not answer.
        """
        if self._request("GET", f"/v2/models/{DETECTOR}/ready", timeout_s=5)[0] == http.HTTPStatus.OK:
            return ""
        told = self._request("POST", "/v2/repository/index", timeout_s=5)[1]
        try:
            models = json.loads(told)
            return next((one["reason"] for one in models if one["name"] == DETECTOR and one.get("reason")), "not known")
        except (ValueError, TypeError, LookupError):  # an error is told in another form
            return told.strip() or "not known"

    def _site_versions(self) -> list[str]:
        """Return the names in Triton of the site's versions, the newest first: it is the likeliest to answer."""
        if self._site_models is None:
            return []
        numbers = (path.name.removeprefix(f"{DETECTOR}_") for path in self._site_models.glob(f"{DETECTOR}_*"))
        return [f"{DETECTOR}_{number}" for number in sorted(filter(str.isdecimal, numbers), key=int, reverse=True)]

    def _load_classifier(self) -> None:
        """Have the server load the series classifier, if the repository has it; studies are read without it too.

        The server's log says if it does not load; callers of the classifier notice that it is missing.
        """
        if (self._settings.model_repository / CLASSIFIER).is_dir():
            self._load(CLASSIFIER, _CLASSIFIER_S)

    def _load(self, model: str, timeout_s: float) -> str:
        """Have the server load a model, and return why it does not, empty if it does."""
        if timeout_s <= 0:
            return "no time was left for it"
        try:
            status, told = self._request("POST", f"/v2/repository/models/{model}/load", timeout_s)
        except (OSError, http.client.HTTPException) as error:
            return _describe(error)
        return "" if status == http.HTTPStatus.OK else told.strip()

    def _request(self, method: str, path: str, timeout_s: float) -> tuple[int, str]:
        """Return status and text of the server's answer. Raises `OSError`, `HTTPException`."""
        connection = http.client.HTTPConnection("127.0.0.1", self._settings.http_port, timeout=timeout_s)
        try:
            connection.request(method, path, headers=http_headers(self._settings))
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        finally:
            connection.close()


def _describe(error: Exception) -> str:
    return f"Triton does not say ({type(error).__name__}: {error})"


def trace_options(settings: TritonSettings) -> list[str]:
    """Return the options of tritonserver that send its part of a traced study to a collector; none without one.

    Requests that belong to no trace (health, the golden chunk) are not traced: the rate is one in as many as Triton
    can count.
    """
    if not settings.traces_url:
        return []
    options = (
        "mode=opentelemetry",
        "level=TIMESTAMPS",
        f"rate={2**31 - 1}",
        f"opentelemetry,url={settings.traces_url}",
        "opentelemetry,resource=service.name=hemorrhage-triton",
    )
    return [f"--trace-config={option}" for option in options]


def clear_shared_memory(settings: TritonSettings) -> None:
    """Remove what a Triton on these ports and the processes of the appliance left behind when they were killed."""
    prefix = region_prefix(settings)
    end_orphans(prefix)
    remove_stale_regions(prefix)
    remove_regions_of_the_dead()


def end_orphans(region_prefix: str, wait_s: float = 5) -> None:
    """Kill the model processes whose region's name begins with `prefix`, if their server is gone.

    A model process asks its server for everything; when the server is killed at the wrong moment it waits forever.
    """
    orphans = [pid for pid, server in model_processes(region_prefix) if not _is_running(server)]
    for pid in orphans:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + wait_s
    while orphans and time.monotonic() < end:
        running = {pid for pid, _ in model_processes(region_prefix)}
        orphans = [pid for pid in orphans if pid in running]
        time.sleep(0.01)


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
