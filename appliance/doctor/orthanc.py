# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Orthanc over its REST interface, asked with the client of the service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

from appliance.doctor.addresses import without_user
from appliance.doctor.check import PATIENCE_S, Check
from appliance.doctor.clock import check_clock
from appliance.doctor.plugin import check_plugin
from appliance.errors import UnavailableError
from appliance.orthanc import Orthanc
from appliance.orthanc_errors import NotThereError, OrthancError, TurnedDownError
from appliance.orthanc_storage import check_storage
from appliance.settings import Settings

_STABLE_AGE_S: Final = 6
"""A longer StableAge of Orthanc is reported; the template of this project has 2."""
_CHANGES_READ: Final = 500


def check_orthanc(settings: Settings) -> Iterator[Check]:
    """Check Orthanc, its settings and its plugins."""
    patience_s = min(PATIENCE_S, settings.orthanc.timeout_s)
    address = without_user(settings.orthanc.url)
    with closing(Orthanc(settings.orthanc.model_copy(update={"timeout_s": patience_s}))) as orthanc:
        try:
            system = orthanc.system()
        except TurnedDownError as error:
            yield Check(
                "orthanc",
                "fail",
                f"{address} does not let this user in ({error.status})",
                "set orthanc.username and orthanc.password to an entry of RegisteredUsers in Orthanc's configuration",
            )
            return
        except OrthancError as error:  # before the next one, which `NoOrthancError` is as well
            yield _is_another_program(address, error.status)
            return
        except UnavailableError as error:
            yield Check(
                "orthanc",
                "fail",
                f"no answer from {address}: {error}",
                "start Orthanc (`make up`, or its service), or set orthanc.url to its REST address",
            )
            return
        yield Check("orthanc", "ok", f"Orthanc {system.get('Version', 'of an unknown version')} at {address}")
        yield from _dicom_settings(settings, system)
        yield from _storage(settings)
        yield from _stable_age(orthanc)
        yield from check_clock(orthanc)
        yield from check_plugin(settings, orthanc)


def _is_another_program(address: str, status: int) -> Check:
    return Check(
        "orthanc",
        "fail",
        f"{address} answers {status}, but not as an Orthanc",
        "set orthanc.url to the REST address of Orthanc; another program listens there, or a proxy before Orthanc",
    )


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


def _storage(settings: Settings) -> Iterator[Check]:
    folder = settings.orthanc.storage
    if folder is None:
        return
    try:
        check_storage(folder)
    except UnavailableError as error:
        yield Check("orthanc storage", "fail", str(error), "until then Orthanc refuses studies and our results")
    else:
        yield Check("orthanc storage", "ok", f"there is room in {folder}")


def _stable_age(orthanc: Orthanc) -> Iterator[Check]:
    """Estimate StableAge, which Orthanc does not report, from when it last called a series stable."""
    last = orthanc.newest_change().last
    changes = orthanc.changes(max(0, last - _CHANGES_READ), _CHANGES_READ).changes
    stable = next((change for change in reversed(changes) if change.type == "StableSeries"), None)
    try:
        updated = orthanc.series(stable.resource).last_update if stable else 0.0
    except NotThereError:
        updated = 0.0
    if stable is None or not updated:
        yield Check("orthanc StableAge", "ok", "not known before a series came; this project's template has 2")
        return
    age_s = stable.date - updated
    if age_s >= _STABLE_AGE_S:
        yield Check(
            "orthanc StableAge",
            "warn",
            f"about {age_s:.0f} s",
            'set "StableAge": 2 in Orthanc\'s configuration (its default is 60): what waits for stable series is late',
        )
    else:
        yield Check("orthanc StableAge", "ok", f"about {max(age_s, 0):.0f} s")
