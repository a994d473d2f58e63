# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The appliance that stays: Orthanc, Triton and the service under a supervisor, and a watch that they answer."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Final

from appliance.errors import UnavailableError
from appliance.inference.server import TritonServer
from appliance.ports import is_free, require_free
from appliance.private import be_private
from appliance.process import last_lines
from appliance.settings import Settings
from deploy.local.answering import not_ready, questions
from deploy.local.appliance import close_state, complete
from deploy.local.orthanc import OrthancProcess
from deploy.local.ports import named_ports
from deploy.local.service import ROOT, ServiceProcess
from deploy.local.supervisor import Program, Supervisor
from deploy.local.unprivileged import User, ensure_user, nobody
from deploy.local.watch import SEEN, WATCH

FOLDER: Final = "supervisor"
_ORTHANC_STOPS_S: Final = 20
_TRITON_STOPS_S: Final = 10
_LOOKED_AT_EVERY_S: Final = 0.2
_TITLES: Final = {"orthanc": "Orthanc", "triton": "Triton", "service": "the service"}


class SupervisedAppliance:
    """Orthanc, Triton and the service of one state folder under a supervisor.

    Raises `OSError` when the state folder cannot be written.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = complete(settings)
        self.state_dir = self.settings.state_dir
        self.folder = self.state_dir / FOLDER
        self._orthanc = OrthancProcess(self.settings, self.state_dir / "orthanc")
        self._triton = TritonServer(
            self.settings.triton, self.state_dir / "triton", site_models=self.settings.site_models
        )
        self._service = ServiceProcess(self.settings, self.state_dir / "service")
        self.logs = {"orthanc": self._orthanc.log, "triton": self._triton.log, "service": self._service.log}
        self.seen = self.folder / SEEN
        self.supervisor = Supervisor(self.folder, self._programs(), self.settings.log.max_mib)

    def _programs(self) -> list[Program]:
        file, python = str(self._service.settings_file), [sys.executable, "-m"]
        orthanc, service = self._orthanc, self._service
        return [
            Program(
                "orthanc",
                orthanc.command,
                self.state_dir / "orthanc",
                orthanc.log,
                _ORTHANC_STOPS_S,
                orthanc.environment,
            ),
            Program("triton", [*python, "deploy.local.keep_triton", file], ROOT, self._triton.log, _TRITON_STOPS_S),
            Program("service", service.command, ROOT, service.log, self.settings.service.stop_s + 10),
            Program(
                WATCH, [*python, "deploy.local.watch", file, str(self.folder)], ROOT, self.folder / "watch.log", 10
            ),
        ]

    def choose_user(self) -> tuple[User | None, str]:
        """Return the user for the servers instead of root, None for this process's own user, and a sentence about it.

        Raises `SettingsError` when the user of the settings cannot be made.
        """
        name = self.settings.supervisor.user
        if os.geteuid() != 0:
            return None, ""
        if not name:
            return None, "as root, and so are all three: supervisor.user is empty"
        other = nobody()
        triton = self.settings.triton.environment.absolute() / "bin" / "python"
        for command in ([sys.executable, "-c", "import appliance.cli, deploy.local.watch"], [str(triton), "-c", ""]):
            why_not = (
                other.explain_refusal(command, ROOT) if other is not None else "there is no user `nobody` to try it as"
            )
            if why_not:
                return None, (
                    f"as root, and so are all three: another user cannot run {command[0]} in {ROOT} ({why_not}); a "
                    "site keeps the checkout and its Python where others may read them (docs/security.md)"
                )
        parent = self.state_dir.parent
        if other is not None and other.explain_refusal(["test", "-x", str(parent)], ROOT):
            return None, f"as root, and so are all three: another user cannot enter {parent} (docs/security.md)"
        user = ensure_user(name)
        return user, f"as user {user.name}, which owns {self.state_dir}"

    def start(self, user: User | None = None) -> int:
        """Start the supervisor, which starts the rest; return its process id.

        Raises
        ------
        SettingsError
            when a program or a model is not there.
        UnavailableError
            when ports are taken.
        """
        require_free(named_ports(self.settings))
        be_private()
        close_state(self.state_dir)
        self._triton.check()
        self._orthanc.prepare()
        self._service.prepare()
        self._triton.log.parent.mkdir(parents=True, exist_ok=True)
        self.supervisor.write_configuration()
        self.seen.unlink(missing_ok=True)
        if user is not None:
            user.own_all(self.state_dir)
        return self.supervisor.launch(user)

    def await_ready(self, timeout_s: float, report: Callable[[str, float], None]) -> None:
        """Return when studies can be sent; `report` is called for each server once it answers, with the seconds.

        Raises `UnavailableError` with the missing server and the end of its log when this takes longer than
        `timeout_s`.
        """
        begin = time.monotonic()
        asked = questions(self.settings)
        missing = dict.fromkeys(asked, "")
        fault = ""
        while missing or (fault := not_ready(self.settings)):
            for name in list(missing):
                missing[name] = asked[name]()
                if not missing[name]:
                    del missing[name]
                    report(_TITLES[name], time.monotonic() - begin)
            if self.supervisor.has_ended() or time.monotonic() - begin > timeout_s:
                name, why = next(iter(missing.items()), ("service", fault))
                log = self.logs[name]
                raise UnavailableError(
                    f"{_TITLES[name]} is not ready after {time.monotonic() - begin:.0f} s ({why}); its log is {log}"
                    f"\n{last_lines(log)}\nthe supervisor's is {self.supervisor.log}\n{last_lines(self.supervisor.log)}"
                )
            time.sleep(_LOOKED_AT_EVERY_S)

    def await_free_ports(self) -> None:
        """Wait until servers whose supervisor was killed have ended, which they do by themselves."""
        end = time.monotonic() + stop_s(self.settings)
        while time.monotonic() < end and not all(map(is_free, named_ports(self.settings).values())):
            time.sleep(_LOOKED_AT_EVERY_S)


def stop_s(settings: Settings) -> float:
    """Return how long all of them may take to end in order, s."""
    return settings.service.stop_s + _ORTHANC_STOPS_S + _TRITON_STOPS_S + 30


def addresses(settings: Settings) -> dict[str, str]:
    """Return where people and programs reach each server."""
    orthanc, triton, service = settings.orthanc, settings.triton, settings.service
    return {
        "orthanc": f"{orthanc.aet} at port {orthanc.dicom_port}, {orthanc.url}",
        "triton": f"grpc://{triton.host}:{triton.grpc_port}",
        "service": f"http://{service.host}:{service.port}",
    }
