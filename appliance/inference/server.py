# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Starts and stops the Triton server that the `nvidia-pytriton` wheel carries, straight from the wheel.

The server binary, its Python backend and the model processes live in an environment of their own
(`TritonSettings.environment`); this module arranges the folder that Triton expects of a backend, the paths and the
options, waits until the detector is loaded, and clears away what a killed server left in shared memory. It does not
talk inference (`detector.py`), and on a GPU site NVIDIA's container takes its place.
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from appliance.contract import DETECTOR
from appliance.errors import SettingsError, UnavailableError
from appliance.settings import TritonSettings

SHARED_MEMORY: Final = Path("/dev/shm")
_THIS_MACHINE: Final = ("127.0.0.1", "localhost")
_LOG_LINES: Final = 15

# Runs in between so that the server ends when its parent does, however that ended (prctl PR_SET_PDEATHSIG = 1,
# SIGTERM = 15); the process id stays the same. A parent that died before the call is noticed by the changed parent id.
_DIE_WITH_PARENT: Final = (
    "import ctypes, os, sys\n"
    "ctypes.CDLL(None).prctl(1, 15, 0, 0, 0)\n"
    "os.getppid() == int(sys.argv[1]) or sys.exit('the starting process has ended')\n"
    "os.execv(sys.argv[2], sys.argv[2:])\n"
)


class _CrashedError(UnavailableError):
    """The server did not end, it crashed."""


class TritonServer:
    """One tritonserver process, serving the detector on loopback.

    Parameters
    ----------
    settings
        Ports, model repository, profile and environment; `host` must be this machine.
    state_dir
        Folder for the server's log and its backend folder; made when it is not there.
    die_with_parent
        Whether the server ends with this process, also when this process is killed. Works when `start` is called
        from the main thread (Linux counts the starting thread as the parent). False leaves the server to run on.
    """

    def __init__(self, settings: TritonSettings, state_dir: Path, *, die_with_parent: bool = True) -> None:
        self._settings = settings
        self._state_dir = state_dir.absolute()
        self._die_with_parent = die_with_parent
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def log(self) -> Path:
        """Where the server writes its log; the one of the start before has `.1` behind its name."""
        return self._state_dir / "triton.log"

    @property
    def pid(self) -> int | None:
        """The process id of the running server, None when it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self, timeout_s: float = 120) -> None:
        """Start the server and return when the detector is loaded.

        Raises
        ------
        SettingsError
            when the environment, the model repository or the profile is not there.
        UnavailableError
            when a port is taken, or the server ends or is not ready within `timeout_s`: with the end of its log.
        """
        if self.pid is not None:
            return
        if self._settings.host not in _THIS_MACHINE:
            raise SettingsError(
                f"triton.host = {self._settings.host!r}: a server can be started on this machine only; "
                "start that one there, or set 127.0.0.1"
            )
        self._check_model()
        packages = self._site_packages()
        backends = self._linked_backends(packages)
        for name in ("http_port", "grpc_port", "metrics_port"):
            _check_port_free(name, getattr(self._settings, name))
        end_orphans(self._region_prefix)
        remove_stale_regions(self._region_prefix)
        self._state_dir.mkdir(parents=True, exist_ok=True)
        command = self._command(packages, backends)
        self._launch(command, packages)
        try:
            self._wait_until_loaded(timeout_s)
        except _CrashedError:
            # On a machine with too much to do, Triton's Python backend can give up on its own lock and abort.
            self._launch(command, packages)
            self._wait_until_loaded(timeout_s)

    def _command(self, packages: Path, backends: Path) -> list[str]:
        settings = self._settings
        command = [
            str(packages / "pytriton/tritonserver/bin/tritonserver"),
            f"--model-repository={settings.model_repository.absolute()}",
            f"--backend-directory={backends}",
            f"--backend-config=python,shm-region-prefix-name={self._region_prefix}",
            "--model-control-mode=explicit",
            f"--load-model={DETECTOR}",
            "--disable-auto-complete-config",
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
        ]
        if settings.profile == "cpu":
            command += ["--allow-gpu-metrics=false", "--pinned-memory-pool-byte-size=0"]
        if self._die_with_parent and threading.current_thread() is threading.main_thread():
            command = [sys.executable, "-I", "-c", _DIE_WITH_PARENT, str(os.getpid()), *command]
        return command

    def _launch(self, command: list[str], packages: Path) -> None:
        if self.log.exists():
            self.log.replace(self.log.with_name("triton.log.1"))
        with self.log.open("wb") as log:
            # A session of its own keeps Ctrl-C in the terminal from ending the server before the study it reads.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment(packages),
                cwd=self._state_dir,
                start_new_session=True,
            )

    def stop(self) -> None:
        """End the server and its model processes, and remove what they left in shared memory.

        They are killed: Triton keeps nothing worth an orderly exit, which takes it 3 s and, with a request on its way,
        leaves the model process behind.
        """
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        end_orphans(self._region_prefix)
        remove_stale_regions(self._region_prefix)

    def log_tail(self, lines: int = _LOG_LINES) -> str:
        """Return the last lines of the server's log, without its tables."""
        try:
            text = self.log.read_text(errors="replace")
        except FileNotFoundError:
            return "(no log was written)"
        return "\n".join([line for line in text.splitlines() if line.strip() and line[0] not in "+|"][-lines:])

    @property
    def _region_prefix(self) -> str:
        """How the shared memory regions of a server on these ports begin; no two running servers share a port."""
        return f"triton_python_backend_shm_region_{self._settings.grpc_port}_"

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
        """Return the folder of the environment's packages, where tritonserver lies."""
        environment = self._settings.environment.absolute()
        found = sorted(environment.glob("lib/python3.*/site-packages/pytriton/tritonserver/bin/tritonserver"))
        if not found:
            raise SettingsError(
                f"triton.environment = {self._settings.environment}: no tritonserver in it; "
                "install environments/triton.lock there, or name the environment that has it"
            )
        return found[-1].parents[3]

    def _linked_backends(self, packages: Path) -> Path:
        """Return a backend folder whose parts are links into the wheel, the stub of the environment's Python with them.

        The wheel keeps one stub a Python version apart from the backend; Triton looks for it beside the backend.
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
        return kept

    def _wait_until_loaded(self, timeout_s: float) -> None:
        """Return when the detector is loaded; otherwise stop the server and raise `UnavailableError` with its log."""
        process = self._process
        end = time.monotonic() + timeout_s
        try:
            while not self._is_loaded():
                status = None if process is None else process.poll()
                if status is not None:
                    kind = _CrashedError if status in (-signal.SIGABRT, -signal.SIGSEGV) else UnavailableError
                    raise kind(f"tritonserver ended with status {status}; its log {self.log}:\n{self.log_tail()}")
                if time.monotonic() > end:
                    raise UnavailableError(
                        f"tritonserver has not loaded {DETECTOR} within {timeout_s:g} s; its log {self.log}:\n"
                        f"{self.log_tail()}"
                    )
                time.sleep(0.05)
        except BaseException:
            self.stop()
            raise

    def _is_loaded(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._settings.http_port, timeout=5)
        try:
            connection.request("GET", f"/v2/models/{DETECTOR}/ready")
            return connection.getresponse().status == http.HTTPStatus.OK
        except OSError:
            return False
        finally:
            connection.close()


def _check_port_free(name: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise UnavailableError(
                f"triton.{name} = {port}: {error.strerror}; another Triton may run: stop it, or set another port"
            ) from error


def end_orphans(region_prefix: str, wait_s: float = 5) -> None:
    """Kill the model processes whose region's name begins so, when the server they belong to is gone.

    A model process asks its server for everything; when that is killed at the wrong moment it waits for ever.
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


def model_processes(region_prefix: str) -> Iterator[tuple[int, int]]:
    """Yield the process id of each model process with such a region, and that of its server.

    Its command line is: stub, model file, region, initial size, growth, the server's process id, and more.
    """
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_text(errors="replace").split("\0")
        except OSError:  # it ended meanwhile
            continue
        if arguments[0].endswith("/triton_python_backend_stub") and arguments[2].startswith(region_prefix):
            yield int(path.parent.name), int(arguments[5])


def remove_stale_regions(prefix: str, folder: Path = SHARED_MEMORY) -> list[Path]:
    """Remove the regions in `folder` whose name begins with `prefix` and that no running process maps; return them."""
    regions = [path for path in folder.glob(f"{prefix}*") if path.is_file()]
    if not regions:
        return []
    mapped = set(_mapped_files(folder))
    stale = [path for path in regions if str(path) not in mapped]
    for path in stale:
        path.unlink(missing_ok=True)
    return stale


def _mapped_files(folder: Path) -> Iterator[str]:
    """Yield the files under `folder` that the processes we may look at have mapped."""
    for maps in Path("/proc").glob("[0-9]*/maps"):
        try:
            lines = maps.read_text(errors="replace").splitlines()
        except OSError:  # it ended meanwhile, or belongs to someone else, whose regions we could not remove either
            continue
        for line in lines:
            path = line.partition("/")[1] + line.partition("/")[2]
            if path.startswith(f"{folder}/"):
                yield path
