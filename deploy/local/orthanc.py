# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""An Orthanc of our own: Debian's program with our configuration, plugin, ports and storage.

Debian's own Orthanc server, its configuration in /etc/orthanc and its ports 4242 and 8042 are not touched.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from appliance.doctor.c_echo import DOCTOR_AET
from appliance.errors import SettingsError
from appliance.ports import require_free
from appliance.process import Process, Server
from appliance.sections.delivery import OrthancModalitySettings
from appliance.settings import Settings
from appliance.transport import tls_for
from appliance.web.viewer import installed_version
from deploy.local.ports import orthanc_http_port

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path("/usr/sbin/Orthanc")
PYTHON_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancPython.so")
DICOMWEB_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
"""What the viewer reads images by; loaded only where a viewer is installed."""
DOORBELL = ROOT / "orthanc_plugin" / "hemorrhage_doorbell.py"
TEMPLATE = ROOT / "orthanc_plugin" / "orthanc.json"


TRUSTED_HOSTS = ROOT / "orthanc_plugin" / "trusted_hosts.lua"
LOCAL_SENDERS = ("SCANNER", DOCTOR_AET)
"""The AE titles that this machine uses: `deploy.local.storescu` as a scanner, and the doctor's C-ECHO."""
_REFUSED = ("Find", "FindWorklist", "Get", "Move", "StorageCommitment")
"""What nobody may ask of Orthanc by DICOM; it grants all of them to every modality that it knows, unless told."""
_COMMITS: dict[str, bool] = {"AllowNEventReport": True, "AllowNAction": False}
"""What a receiver may send that is asked to commit to what it took: its answer, and no request of its own."""


def template() -> dict[str, Any]:
    """Return the configuration that this project ships, without its comments, which JSON does not allow."""
    lines = TEMPLATE.read_text().splitlines()
    read: dict[str, Any] = json.loads("\n".join(line for line in lines if not line.lstrip().startswith("//")))
    return read


def modalities(settings: Settings) -> dict[str, Any]:
    """Return who may send (this machine, and the senders of the settings) and, by name, whom Orthanc may send to.

    Raises `SettingsError` for a receiver that would lock out a sender.
    """
    orthanc = settings.orthanc
    here = _address(orthanc.dicom_host)
    known = [(title, here) for title in LOCAL_SENDERS]
    known += [(title, address) for title, _, address in (sender.rpartition("@") for sender in orthanc.senders) if title]
    refused = {f"Allow{what}": False for what in _REFUSED}
    named = {
        f"sender-{number}": {"AET": title, "Host": address, "Port": 104, **refused}
        for number, (title, address) in enumerate(known, start=1)
    }
    committing = {
        destination.modality
        for destination in settings.destinations.values()
        if isinstance(destination, OrthancModalitySettings) and destination.storage_commitment
    }
    for receiver in orthanc.receivers:
        name, _, rest = receiver.partition("=")
        title, _, place = rest.rpartition("@")
        host, _, port = place.rpartition(":")
        # Orthanc lets a caller in by the first entry with its title, whose address has to be the caller's.
        sends_from = {address for sender, address in known if sender.casefold() == title.casefold()}
        if sends_from and sends_from != {_address(host)}:
            raise SettingsError(
                f"orthanc.receivers: {title} sends from {', '.join(sorted(sends_from))} and could no longer; "
                "give it that address here too, or another AE title"
            )
        allowed = {"AllowStore": bool(sends_from), "AllowEcho": bool(sends_from)}
        commits = _COMMITS if name in committing else {}
        named[name] = {"AET": title, "Host": _address(host), "Port": int(port), **refused, **allowed, **commits}
        if commits:
            del named[name]["AllowStorageCommitment"]  # one entry would represent both
    return named


def _address(host: str) -> str:
    """Return the address of this machine's own name: Orthanc takes addresses alone where it binds and compares."""
    return "127.0.0.1" if host == "localhost" else host


def configuration(
    settings: Settings, folder: Path, *, doorbell: bool = True, dicomweb: bool | None = None
) -> dict[str, Any]:
    """Return the configuration of an Orthanc that keeps all it has in `folder`: the template with the settings.

    `dicomweb` says whether that Orthanc has the DICOMweb plugin; None: as it is installed on this machine.

    Raises `SettingsError` for a script that is not there, as Orthanc would not start then, and as `modalities` does.
    """
    written = template()
    orthanc = settings.orthanc
    for script in orthanc.scripts:
        if not script.is_file():
            whole = "" if script.is_absolute() else f" (as {script.absolute()}); name it with its whole path"
            raise SettingsError(f"orthanc.scripts: {script} is not there{whole}")
    from_everybody = "*" in orthanc.senders
    written |= {
        "DicomAet": orthanc.aet,
        "DicomPort": orthanc.dicom_port,
        "HttpPort": orthanc_http_port(settings),
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "DicomModalities": modalities(settings),
        "DicomAlwaysAllowStore": from_everybody,
        "DicomAlwaysAllowEcho": from_everybody,
        "HttpBindAddresses": [_address(urlsplit(orthanc.url).hostname or "")],
        "TrustedHosts": [f"[{host}]" if ":" in host else host for host in settings.service.trusted_hosts],
        # Ours is the last: of two functions of one name Orthanc takes the later one, and none may open this door.
        "LuaScripts": [*(str(script.absolute()) for script in orthanc.scripts), str(TRUSTED_HOSTS)],
        "AuthenticationEnabled": bool(orthanc.username),
        "RegisteredUsers": {orthanc.username: orthanc.password} if orthanc.username else {},
    }
    if doorbell:
        written |= {
            "Plugins": [str(PYTHON_PLUGIN)],
            "PythonScript": str(DOORBELL),
            "Hemorrhage": written["Hemorrhage"]
            | {"ServiceUrl": f"http://{settings.service.host}:{settings.service.port}"},
        }
    else:
        written["Plugins"] = []
        del written["PythonScript"], written["Hemorrhage"]
    has_dicomweb = DICOMWEB_PLUGIN.exists() if dicomweb is None else dicomweb
    if doorbell and installed_version(settings.viewer_folder) and has_dicomweb:
        written["Plugins"].append(str(DICOMWEB_PLUGIN))
        written["DicomWeb"] = {"Enable": True, "Root": "/dicom-web/", "EnableWado": False, "Servers": {}}
    return written


class OrthancProcess(Server):
    """A running Orthanc.

    Parameters
    ----------
    settings
        Address, ports, AE title and user of Orthanc, and the address of the service that the plugin rings.
    folder
        The folder of its configuration, storage and log. Two Orthancs never share one.
    doorbell
        Whether it runs our plugin.
    tcp_nodelay
        Whether its DICOM sockets send small packets at once (the environment variable `TCP_NODELAY` of DCMTK).
    overrides
        Further configuration of Orthanc, which wins.
    die_with_parent
        End it when this process ends, however that ends.
    """

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        *,
        doorbell: bool = True,
        tcp_nodelay: bool = True,
        overrides: Mapping[str, Any] | None = None,
        die_with_parent: bool = True,
    ) -> None:
        self.settings = settings
        self.url = settings.orthanc.url
        self.aet = settings.orthanc.aet
        self.dicom_port = settings.orthanc.dicom_port
        self._folder = folder.absolute()
        self._doorbell = doorbell
        self._tcp_nodelay = tcp_nodelay
        self._overrides = dict(overrides or {})
        super().__init__(Process("Orthanc", self._folder / "orthanc.log", die_with_parent=die_with_parent))

    def start(self, timeout_s: float = 120) -> None:
        """Start it and return when it answers.

        Raises
        ------
        SettingsError
            when Orthanc or its Python plugin is not installed.
        UnavailableError
            when a port is taken, or it does not answer in time: with the end of its log.
        """
        self.launch()
        self.wait(timeout_s)

    def launch(self) -> None:
        """Start it without waiting for it; `wait` does. Raises as `start` does."""
        self.prepare()
        require_free({"orthanc.url": orthanc_http_port(self.settings), "orthanc.dicom_port": self.dicom_port})
        # The plugin runs the system's Python: nothing of ours may point it to another one.
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))
        }
        self._process.launch(self.command, environment | self.environment, self._folder)

    @property
    def environment(self) -> dict[str, str]:
        """What its environment needs besides that of this process."""
        return {"TCP_NODELAY": "1" if self._tcp_nodelay else "0"}

    @property
    def command(self) -> list[str]:
        """The command that starts it, once `prepare` has written its configuration."""
        return [str(PROGRAM), str(self._folder / "orthanc.json")]

    def prepare(self) -> None:
        """Write its configuration. Raises `SettingsError` as `start` does."""
        for program in (PROGRAM, PYTHON_PLUGIN):
            if not program.exists():
                raise SettingsError(f"{program} is not there; deploy/install-system-packages.sh installs it")
        written = configuration(self.settings, self._folder, doorbell=self._doorbell) | self._overrides
        (self._folder / "storage").mkdir(parents=True, exist_ok=True)
        file = self._folder / "orthanc.json"
        file.touch(mode=stat.S_IRUSR | stat.S_IWUSR)  # it may contain a password
        file.write_text(json.dumps(written, indent=2) + "\n")

    def wait(self, timeout_s: float = 120) -> None:
        """Return when it answers. Raises `UnavailableError` when it ended or is not ready in time."""
        with self.client() as client:
            self._process.wait_until(lambda: _answers(client), timeout_s)

    def client(self) -> httpx.Client:
        """Return a client of its REST interface; the caller closes it."""
        user = self.settings.orthanc.username
        auth = (user, self.settings.orthanc.password) if user else None
        timeout_s, verify = self.settings.orthanc.timeout_s, tls_for(self.url)
        return httpx.Client(base_url=self.url, auth=auth, timeout=timeout_s, verify=verify, trust_env=False)


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/system", timeout=2).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
