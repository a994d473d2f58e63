# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Looks at everything the appliance stands on and says, for each fault, what to do about it.

`diagnose` returns the list that `appliance doctor` prints. It makes no folder, no ledger file and no study; it asks
Triton one golden chunk, and Orthanc for a C-ECHO. No check ends the others, and none tells a secret.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import httpx
from pynetdicom import AE, evt
from pynetdicom.pdu import A_ASSOCIATE_RJ
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from appliance.errors import ApplianceError, ModelContractError
from appliance.inference.detector import TritonDetector
from appliance.ledger.ledger import Ledger
from appliance.reading.contract import DETECTOR
from appliance.reading.lesions import Criteria
from appliance.settings import Settings

State = Literal["ok", "warn", "fail"]

_PATIENCE_S: Final = 5.0
_VERIFICATION: Final = "1.2.840.10008.1.1"
_DISK_FULL_GB: Final = 1
_SHARED_MEMORY_MB: Final = 64
_STABLE_AGE_S: Final = 6
"""From here on Orthanc's StableAge is worth a word; the template of this project has 2."""
_CHANGES_READ: Final = 500


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes
    ----------
    name
        Short name, the same in every diagnosis.
    state
        `ok`; `warn`: works, but not as it should; `fail`: studies are not read, or answers are not stored.
    what
        What was seen.
    remedy
        What to do about it; empty when ok.
    """

    name: str
    state: State
    what: str
    remedy: str = ""


def diagnose(settings: Settings) -> list[Check]:
    """Return what was seen of settings, disk, ledger, Orthanc, its plugin, Triton, the model and the service."""
    looks: tuple[tuple[str, Callable[[Settings], Iterator[Check]]], ...] = (
        ("settings", _settings),
        ("state folder", _state_folder),
        ("ledger", _ledger),
        ("orthanc", _orthanc),
        ("c-echo", _c_echo),
        ("triton", _triton),
        ("service", _service),
    )
    checks = [check for name, look in looks for check in _every_check(name, look, settings)]
    secrets = _secrets(settings)
    return [replace(one, what=_without(one.what, secrets), remedy=_without(one.remedy, secrets)) for one in checks]


def _every_check(name: str, look: Callable[[Settings], Iterator[Check]], settings: Settings) -> Iterator[Check]:
    """Yield the checks of one look; what it did not foresee becomes a check of its own, and ends only that look."""
    try:
        yield from look(settings)
    except Exception as error:
        yield Check(
            name,
            "fail",
            f"could not be looked at: {type(error).__name__}: {error}",
            "report this with the version of the appliance: the doctor should have known what to do",
        )


def _secrets(settings: Settings) -> list[str]:
    found = [settings.orthanc.password, urlsplit(settings.orthanc.url).password]
    try:
        found.append(make_url(settings.ledger_url).password)
    except ArgumentError:
        found.append(settings.ledger_url)
    return [secret for secret in found if secret]


def _without(text: str, secrets: list[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


# This machine


def _settings(settings: Settings) -> Iterator[Check]:
    file = type(settings).model_config.get("toml_file")
    known = {"APPLIANCE_SETTINGS"}
    for name in type(settings).model_fields:
        section = getattr(settings, name)
        fields = getattr(type(section), "model_fields", {})
        known |= {f"APPLIANCE_{name}".upper()} | {f"APPLIANCE_{name}__{field}".upper() for field in fields}
    # An unknown name in the file stops the start; in the environment it would pass without a word.
    unknown = sorted(name for name in os.environ if name.startswith("APPLIANCE_") and name.upper() not in known)
    if unknown:
        yield Check(
            "settings",
            "warn",
            f"no such setting: {', '.join(unknown)}",
            "correct or remove these environment variables; `appliance settings` lists all names, written "
            "APPLIANCE_SECTION__NAME",
        )
    else:
        yield Check("settings", "ok", f"read from {file}" if file else "no file: the defaults stand")


def _state_folder(settings: Settings) -> Iterator[Check]:
    folder = settings.state_dir.absolute()
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    if not nearest.is_dir():
        yield Check("state folder", "fail", f"{nearest} is a file", "set state_dir to a folder")
        return
    if not os.access(nearest, os.W_OK | os.X_OK):
        yield Check(
            "state folder",
            "fail",
            f"{nearest} cannot be written by this user",
            f"give this user the folder (`chown`), or set state_dir to one of its own: now {folder}",
        )
    elif nearest == folder:
        yield Check("state folder", "ok", f"{folder} can be written")
    else:
        yield Check("state folder", "ok", f"{folder} is not there yet; the first start makes it")
    low_gb = settings.disk_low_gb
    free_gb = shutil.disk_usage(nearest).free / 1e9
    if not low_gb:
        yield Check("disk", "ok", f"{free_gb:.1f} GB free at {nearest}, not watched: disk_low_gb = 0")
        return
    full_gb = max(_DISK_FULL_GB, low_gb / 10)
    state: State = "fail" if free_gb < full_gb else "warn" if free_gb < low_gb else "ok"
    yield Check(
        "disk",
        state,
        f"{free_gb:.1f} GB free at {nearest}" + ("" if state == "ok" else f", less than {low_gb:.3g} (disk_low_gb)"),
        "" if state == "ok" else "make room: a head CT takes 20 to 200 MB in Orthanc, and a full disk refuses studies",
    )


def _ledger(settings: Settings) -> Iterator[Check]:
    try:
        url = make_url(settings.ledger_url)
    except ArgumentError:
        yield Check(
            "ledger",
            "fail",
            "ledger.url is no SQLAlchemy URL",
            "leave it empty for a file in the state folder, or write postgresql+psycopg://user:password@host/database",
        )
        return
    shown = url.render_as_string(hide_password=True)
    if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).exists():
        yield Check("ledger", "ok", f"{shown} is not there yet; the first start makes it")
        return
    try:
        ledger = Ledger(settings.ledger_url)
        try:
            ledger.check()
        finally:
            ledger.close()
    except ApplianceError as error:
        yield Check(
            "ledger",
            "fail",
            str(error),
            "check ledger.url, the rights of the file or user, and the disk or database server",
        )
    else:
        yield Check("ledger", "ok", f"{shown} opens and takes writes")


# Orthanc and the plugin


def _orthanc(settings: Settings) -> Iterator[Check]:
    orthanc = settings.orthanc
    auth = (orthanc.username, orthanc.password) if orthanc.username else None
    address = _address(orthanc.url)
    with httpx.Client(base_url=orthanc.url, auth=auth, timeout=_PATIENCE_S, trust_env=False) as client:
        try:
            answer = client.get("/system")
        except httpx.HTTPError as error:
            yield Check(
                "orthanc",
                "fail",
                f"no answer from {address}: {error}",
                "start Orthanc (`make up`, or its service), or set orthanc.url to its REST address",
            )
            return
        if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            yield Check(
                "orthanc",
                "fail",
                f"{address} does not let this user in ({answer.status_code})",
                "set orthanc.username and orthanc.password to an entry of RegisteredUsers in Orthanc's configuration",
            )
            return
        system = _json_object(answer)
        if system is None or "Version" not in system:
            yield Check(
                "orthanc",
                "fail",
                f"{address} answers {answer.status_code}, but not as an Orthanc",
                "set orthanc.url to the REST address of Orthanc; another program listens there",
            )
            return
        yield Check("orthanc", "ok", f"Orthanc {system['Version']} at {address}")
        yield from _dicom_settings(settings, system)
        yield from _stable_age(client)
        yield from _plugin(settings, client)


def _dicom_settings(settings: Settings, system: dict[str, Any]) -> Iterator[Check]:
    orthanc = settings.orthanc
    differs = [
        f"{name} = {ours!r} but Orthanc has {theirs!r}"
        for name, ours, theirs in (
            ("orthanc.aet", orthanc.aet, system.get("DicomAet", orthanc.aet)),
            ("orthanc.dicom_port", orthanc.dicom_port, system.get("DicomPort", orthanc.dicom_port)),
        )
        if ours != theirs
    ]
    if differs:
        yield Check(
            "orthanc dicom",
            "warn",
            "; ".join(differs),
            "make the settings the same as Orthanc's DicomAet and DicomPort (a forwarded port may differ); "
            "scanners are told the settings'",
        )
    else:
        yield Check("orthanc dicom", "ok", f"AE title {orthanc.aet}, port {orthanc.dicom_port}")


def _stable_age(client: httpx.Client) -> Iterator[Check]:
    """Estimate StableAge, which Orthanc does not tell, from when it called its newest stable series so."""
    changes = _changes_at_the_end(client)
    stable = next((change for change in reversed(changes) if change.get("ChangeType") == "StableSeries"), None)
    series = _json_object(client.get(f"/series/{stable['ID']}")) if stable else None
    if stable is None or series is None or "LastUpdate" not in series:
        yield Check("orthanc StableAge", "ok", "not known before a series came; this project's template has 2")
        return
    age_s = (_orthanc_time(stable["Date"]) - _orthanc_time(series["LastUpdate"])).total_seconds()
    if age_s >= _STABLE_AGE_S:
        yield Check(
            "orthanc StableAge",
            "warn",
            f"about {age_s:.0f} s",
            'set "StableAge": 2 in Orthanc\'s configuration (its default is 60): what waits for stable series is late',
        )
    else:
        yield Check("orthanc StableAge", "ok", f"about {max(age_s, 0):.0f} s")


def _changes_at_the_end(client: httpx.Client) -> list[dict[str, Any]]:
    last = (_json_object(client.get("/changes", params={"last": ""})) or {}).get("Last", 0)
    page = _json_object(client.get("/changes", params={"since": max(0, last - _CHANGES_READ), "limit": _CHANGES_READ}))
    return list((page or {}).get("Changes", []))


def _orthanc_time(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%dT%H%M%S")


def _plugin(settings: Settings, client: httpx.Client) -> Iterator[Check]:
    loaded = client.get("/plugins").json()
    if "python" not in loaded:
        yield Check(
            "orthanc python plugin",
            "warn",
            f"not loaded (plugins: {', '.join(loaded) or 'none'})",
            "install orthanc-python and name its libOrthancPython.so under Plugins in Orthanc's configuration; without "
            "it studies are still found, but later",
        )
        return
    yield Check("orthanc python plugin", "ok", "loaded")
    answer = client.get("/hemorrhage/status")
    told = _json_object(answer)
    plugin = told.get("plugin") if told else None
    if not isinstance(plugin, dict):
        yield Check(
            "doorbell",
            "warn",
            f"/hemorrhage/status answers {answer.status_code}",
            "name orthanc_plugin/hemorrhage_doorbell.py as PythonScript in Orthanc's configuration; when it is named, "
            "Orthanc's log says why it did not load. Without it studies are still found, but later",
        )
        return
    rung = str(plugin.get("service_url", ""))
    service = f"http://{settings.service.host}:{settings.service.port}"
    if not _same_server(rung, service):
        yield Check(
            "doorbell",
            "warn",
            f"rings at {_address(rung)}, the service listens on {service}",
            "make Hemorrhage.ServiceUrl in Orthanc's configuration and service.host, service.port the same, and "
            "restart Orthanc; until then studies are still found, but later",
        )
    elif told and told.get("service") is None:
        yield Check(
            "doorbell",
            "warn",
            f"loaded, but does not reach the service: {told.get('error') or 'no answer'}",
            "start the service (`appliance serve`, `make up`); what came meanwhile is read then. When it runs, it was "
            "too busy to answer at once: ask again",
        )
    else:
        yield Check("doorbell", "ok", f"rings at {rung}, {plugin.get('rings', 0)} times since Orthanc started")


def _c_echo(settings: Settings) -> Iterator[Check]:
    orthanc = settings.orthanc
    at = f"{orthanc.aet} at {orthanc.dicom_host}:{orthanc.dicom_port}"
    try:
        socket.create_connection((orthanc.dicom_host, orthanc.dicom_port), _PATIENCE_S).close()
    except OSError as error:
        yield Check(
            "c-echo",
            "fail",
            f"nothing listens on {orthanc.dicom_host}:{orthanc.dicom_port}: {error.strerror or error}",
            "start Orthanc, or set orthanc.dicom_host and orthanc.dicom_port to its DICOM port",
        )
        return
    entity = AE(ae_title="APPLIANCE_DOCTOR"[:16])
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = _PATIENCE_S
    entity.add_requested_context(_VERIFICATION)
    # A peer that rejects closes the connection at once, and the association may then call itself aborted: whether an
    # A-ASSOCIATE-RJ came is what tells.
    answers: list[type] = []
    association = entity.associate(
        orthanc.dicom_host,
        orthanc.dicom_port,
        ae_title=orthanc.aet,
        evt_handlers=[(evt.EVT_PDU_RECV, lambda event: answers.append(type(event.pdu)))],
    )
    if not association.is_established:
        rejected = A_ASSOCIATE_RJ in answers
        yield Check(
            "c-echo",
            "fail",
            f"{at} turned the association down" if rejected else f"{at} does not speak DICOM",
            "set orthanc.aet to Orthanc's DicomAet (it checks it when DicomCheckCalledAet is true)"
            if rejected
            else "set orthanc.dicom_port to Orthanc's DicomPort; another program listens there",
        )
        return
    try:
        status = association.send_c_echo()
    finally:
        association.release()
    if status and status.Status == 0:
        yield Check("c-echo", "ok", f"{at} answers")
    else:
        yield Check(
            "c-echo",
            "fail",
            f"{at} answers C-ECHO with {f'status 0x{status.Status:04X}' if status else 'nothing'}",
            "set DicomAlwaysAllowEcho in Orthanc's configuration, and see its log",
        )


# Triton and the model


def _triton(settings: Settings) -> Iterator[Check]:
    triton = settings.triton
    address = f"{triton.host}:{triton.http_port}"
    try:
        answer = httpx.get(f"http://{address}/v2/health/live", timeout=_PATIENCE_S, trust_env=False)
    except httpx.HTTPError as error:
        yield Check(
            "triton",
            "fail",
            f"no answer from {address}: {error}",
            "start Triton (`make up`, or its service), or set triton.host and triton.http_port; studies wait meanwhile",
        )
        return
    if answer.status_code != httpx.codes.OK:
        yield Check(
            "triton",
            "fail",
            f"{address} answers {answer.status_code} and is not live",
            "see Triton's log, or set triton.http_port; another program may listen there",
        )
        return
    yield Check("triton", "ok", f"live at {address}")
    yield from _shared_memory(settings)
    yield from _model(settings)
    yield from _triton_metrics(settings)


def _shared_memory(settings: Settings) -> Iterator[Check]:
    triton = settings.triton
    if not triton.shared_memory:
        if _is_loopback(triton.host):
            yield Check(
                "shared memory",
                "warn",
                "off, though Triton runs on this machine",
                "set triton.shared_memory = true, unless Triton runs in a container of its own: it saves about 30 ms a "
                "study",
            )
        return
    if not _is_loopback(triton.host):
        yield Check(
            "shared memory",
            "warn",
            f"on, though Triton runs on {triton.host}",
            "set triton.shared_memory = false when that is another machine",
        )
        return
    free_mb = shutil.disk_usage("/dev/shm").free / 1e6
    if free_mb < _SHARED_MEMORY_MB:
        yield Check(
            "shared memory",
            "fail",
            f"{free_mb:.0f} MB free in /dev/shm",
            f"make it larger (`--shm-size` of a container): {_SHARED_MEMORY_MB} MB are needed",
        )
    else:
        yield Check("shared memory", "ok", f"{free_mb:.0f} MB free in /dev/shm")


def _model(settings: Settings) -> Iterator[Check]:
    try:
        detector = TritonDetector(settings.triton, settings.triton.timeout_s)
    except ApplianceError as error:
        contract = isinstance(error, ModelContractError)
        yield Check(
            "model",
            "fail",
            str(error),
            "write the model repository with this version's conversion and restart Triton"
            if contract
            else "see Triton's log; set triton.grpc_port when only its HTTP port answers",
        )
        return
    try:
        identity = detector.identity
        criteria = Criteria.of(settings.finding, detector.suggested_threshold)
        chosen = "suggested by the model" if settings.finding.threshold is None else "set by the site"
        extension = f"lesions extended from {criteria.extend_score:g}" if criteria.extends else "lesions not extended"
        yield Check(
            "model",
            "ok",
            f"{identity.name} version {identity.version}, sha256 {identity.sha256[:12]}…, "
            f"threshold {criteria.threshold:g} ({chosen}), {extension}",
        )
        yield from _model_on_disk(settings, identity.sha256)
        readiness = detector.ready()
        if readiness:
            yield Check("golden answer", "ok", "the golden chunk comes back right")
        else:
            yield Check(
                "golden answer", "fail", readiness.reason, "ask again; when it stays so, restart Triton and see its log"
            )
    finally:
        detector.close()


def _model_on_disk(settings: Settings, served: str) -> Iterator[Check]:
    """Compare the served model with the repository's, when that lies on this machine."""
    versions = (settings.triton.model_repository / DETECTOR).glob("[0-9]*/model.onnx")
    newest = max(versions, key=lambda path: int(path.parent.name), default=None)
    if newest is None:
        return
    found = hashlib.sha256(newest.read_bytes()).hexdigest()
    if found != served:
        yield Check(
            "model repository",
            "warn",
            f"{newest} has sha256 {found[:12]}…, Triton serves {served[:12]}…",
            "restart Triton to serve the file, or write the repository again when its configuration is the older one",
        )
    else:
        yield Check("model repository", "ok", f"Triton serves {newest}")


def _triton_metrics(settings: Settings) -> Iterator[Check]:
    address = f"{settings.triton.host}:{settings.triton.metrics_port}"
    try:
        answer = httpx.get(f"http://{address}/metrics", timeout=_PATIENCE_S, trust_env=False)
        seen = "nv_inference_count" in answer.text
    except httpx.HTTPError:
        seen = False
    if seen:
        yield Check("triton metrics", "ok", f"at {address}")
    else:
        yield Check(
            "triton metrics",
            "warn",
            f"no metrics of a Triton at {address}",
            "set triton.metrics_port, or start Triton with --allow-metrics=true; studies are read all the same",
        )


# The service


def _service(settings: Settings) -> Iterator[Check]:
    address = f"http://{settings.service.host}:{settings.service.port}"
    with httpx.Client(base_url=address, timeout=_PATIENCE_S, trust_env=False) as client:
        try:
            alive = client.get("/health/live")
            ready = client.get("/health/ready")
        except httpx.HTTPError as error:
            yield Check(
                "service",
                "fail",
                f"no answer from {address}: {error}",
                "start it (`appliance serve`, `make up`), or set service.host and service.port; it catches up on what "
                "came meanwhile",
            )
            return
    if alive.status_code != httpx.codes.OK:
        yield Check(
            "service",
            "fail",
            f"{address} answers {alive.status_code} and is not live",
            "restart the service and see its log; another program may listen on service.port",
        )
    elif ready.status_code != httpx.codes.OK:
        yield Check(
            "service",
            "fail",
            f"runs at {address} but is not ready: {ready.text[:500]}",
            "see to the faults above; the service goes on by itself when they are gone",
        )
    else:
        yield Check("service", "ok", f"ready at {address}")


def _address(url: str) -> str:
    """Return a URL without the user and password that may stand in it."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _same_server(a: str, b: str) -> bool:
    """Say whether two URLs name one server, by whichever name of loopback, or all addresses as a service listens."""
    first, second = urlsplit(a), urlsplit(b)
    try:
        ports = first.port or 80, second.port or 80
    except ValueError:
        return False
    hosts = first.hostname or "", second.hostname or ""
    same_host = hosts[0] == hosts[1] or all(map(_is_loopback, hosts)) or hosts[1] in ("0.0.0.0", "::")
    return same_host and ports[0] == ports[1]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _json_object(answer: httpx.Response) -> dict[str, Any] | None:
    try:
        value = answer.json() if answer.status_code == httpx.codes.OK else None
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
