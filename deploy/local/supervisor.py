# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Supervisor keeps programs running: it starts them in order, restarts those that end, and keeps their logs small.

It is Debian's package (4.2, with Debian's security updates), chosen because it needs neither systemd nor root, and is
the parent of its programs, so it sees every death at once. It does not check whether a program answers; `watch` does.
"""

from __future__ import annotations

import http.client
import os
import shlex
import shutil
import socket
import subprocess
import time
import xmlrpc.client
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from appliance.errors import SettingsError, UnavailableError
from appliance.log_files import KEPT
from appliance.private import UMASK
from deploy.local.unprivileged import User

PROGRAM: Final = Path("/usr/bin/supervisord")
_LONGEST_SOCKET: Final = 98
"""Linux allows 107 characters; Supervisor first creates the socket under a longer name."""
_SETTLED_S: Final = 60
"""A program that ends sooner than this after its start is restarted after a pause, 1 s longer each time, s."""
_ENDLESS: Final = 1_000_000_000
_MIB: Final = 2**20
_RPC_S: Final = 30.0
_HUNG_ENDS_S: Final = 5.0


@dataclass(frozen=True)
class Program:
    """A program to keep running; it writes its log to standard output."""

    name: str
    command: Sequence[str]
    folder: Path
    log: Path
    stop_s: float
    """How long it may take to end in order before it is killed."""
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ProgramState:
    """What the supervisor says of a program: its state, and its process ID, 0 while it has none."""

    state: str
    pid: int
    fault: str
    """Why it could not be started, empty if it could."""


class Supervisor:
    """One supervisor with what it keeps in `folder`; `programs` in the order of their start."""

    def __init__(self, folder: Path, programs: Sequence[Program], max_mib: float) -> None:
        self.folder = folder
        self.log = folder / "supervisor.log"
        self.control = Control(folder / "control.sock")
        self._programs = programs
        self._max_mib = max_mib
        self._process: subprocess.Popen[bytes] | None = None

    def write_configuration(self) -> Path:
        """Write the configuration and return its file.

        Raises `SettingsError` when Supervisor is not installed or the folder's name is too long for a socket.
        """
        if not PROGRAM.exists():
            raise SettingsError(f"{PROGRAM} is not there; deploy/install-system-packages.sh installs it")
        if len(str(self.control.socket)) > _LONGEST_SOCKET:
            raise SettingsError(
                f"state_dir: {self.control.socket} is too long for a socket's name, of which {_LONGEST_SOCKET} "
                "characters are allowed; set a shorter state_dir"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / "supervisord.conf"
        file.touch(mode=0o600)
        file.write_text(self._configuration())
        return file

    def launch(self, user: User | None = None) -> int:
        """Start it as `user`, or as this process's own, and return its process id."""
        file = self.write_configuration()
        if user is not None:
            user.own(self.folder, file)
        kept = (
            "PYTHON",
            "VIRTUAL_ENV",
            "APPLIANCE_",
        )  # would point Orthanc's plugin and the service to files of others
        environment = {name: value for name, value in os.environ.items() if not name.startswith(kept)}
        identity: dict[str, Any] = (
            {} if user is None else {"user": user.uid, "group": user.gid, "extra_groups": user.groups}
        )
        self._process = subprocess.Popen(
            [str(PROGRAM), "--configuration", str(file)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment if user is None else environment | user.environment,
            cwd=self.folder,
            start_new_session=True,
            umask=UMASK,
            **identity,
        )
        return self._process.pid

    def has_ended(self) -> bool:
        """Return whether it was started by this process and has ended."""
        return self._process is not None and self._process.poll() is not None

    def _configuration(self) -> str:
        size = max(1, int(self._max_mib * _MIB))
        sections = [
            "[supervisord]",
            "nodaemon=true",
            "silent=true",
            f"logfile={_escape(self.log)}",
            f"logfile_maxbytes={size}",
            f"logfile_backups={KEPT}",
            f"pidfile={_escape(self.folder / 'supervisord.pid')}",
            f"childlogdir={_escape(self.folder)}",
            "[unix_http_server]",
            f"file={_escape(self.control.socket)}",
            "chmod=0700",
            "[rpcinterface:supervisor]",
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
        ]
        for number, program in enumerate(self._programs, start=1):
            setpriv = shutil.which("setpriv")
            # When the supervisor itself is killed, its programs must not stay behind and hold the ports.
            tied = [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []
            words = ",".join(f'{name}="{_escape(value)}"' for name, value in program.environment.items())
            sections += [
                f"[program:{program.name}]",
                f"command={_escape(shlex.join([*tied, *program.command]))}",
                f"directory={_escape(program.folder)}",
                f"priority={number}",
                "autorestart=true",
                f"startsecs={_SETTLED_S}",
                f"startretries={_ENDLESS}",
                f"stopwaitsecs={int(program.stop_s) + 1}",
                "killasgroup=true",
                "redirect_stderr=true",
                f"stdout_logfile={_escape(program.log)}",
                f"stdout_logfile_maxbytes={size}",
                f"stdout_logfile_backups={KEPT}",
                *([f"environment={words}"] if words else []),
            ]
        return "\n".join(sections) + "\n"


class Control:
    """Asks a supervisor about its programs, and has it restart one, through its socket.

    Every method raises `UnavailableError` when the supervisor does not answer or refuses.
    """

    def __init__(self, file: Path) -> None:
        self.socket = file

    def programs(self) -> dict[str, ProgramState]:
        """Return the state of each program, by name."""
        return {
            told["name"]: ProgramState(told["statename"], told["pid"], told["spawnerr"])
            for told in self._ask("getAllProcessInfo")
        }

    def start(self, name: str) -> None:
        """Start a program that does not run."""
        self._ask("startProcess", name, False)

    def restart(self, name: str) -> None:
        """End a program that hangs, by SIGKILL if it does not obey within seconds, and start it again."""
        try:
            self._ask("stopProcess", name, False)
            if not self._has_ended(name):
                self._ask("signalProcess", name, "KILL")
                self._has_ended(name)
        finally:
            self.start(name)

    def _has_ended(self, name: str) -> bool:
        """Wait a few seconds for the end of a program; return whether it came."""
        end = time.monotonic() + _HUNG_ENDS_S
        while self.programs()[name].pid:
            if time.monotonic() > end:
                return False
            time.sleep(0.1)
        return True

    def _ask(self, method: str, *arguments: Any) -> Any:
        try:
            with xmlrpc.client.ServerProxy("http://supervisor/RPC2", transport=_Transport(self.socket)) as server:
                return getattr(server.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as error:
            raise UnavailableError(f"the supervisor does not {method}: {error.faultString}") from error
        except (OSError, http.client.HTTPException, xmlrpc.client.Error) as error:
            raise UnavailableError(f"the supervisor at {self.socket} does not answer ({error})") from error


class _Transport(xmlrpc.client.Transport):
    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        return _Connection(str(host), self._file)


class _Connection(http.client.HTTPConnection):
    def __init__(self, host: str, file: Path) -> None:
        super().__init__(host, timeout=_RPC_S)
        self._file = file

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_RPC_S)
        self.sock.connect(str(self._file))


def _escape(value: str | Path) -> str:
    """Return a value for the configuration file, in which % begins a name to expand."""
    return str(value).replace("%", "%%")
