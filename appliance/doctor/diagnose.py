# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Looks at everything the appliance stands on and says, for each fault, what to do about it.

`diagnose` returns the list that `appliance doctor` prints. It makes no folder, no ledger file and no study; it asks
Triton one golden chunk, and Orthanc for a C-ECHO. No check ends the others, and none tells a secret. A new check is a
file beside this one and a line in `CHECKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from appliance.doctor.access import check_access
from appliance.doctor.c_echo import check_c_echo
from appliance.doctor.check import Check
from appliance.doctor.destinations import check_destinations
from appliance.doctor.ledger import check_ledger
from appliance.doctor.orthanc import check_orthanc
from appliance.doctor.service import check_service
from appliance.doctor.settings import check_settings
from appliance.doctor.state_folder import check_state_folder
from appliance.doctor.triton import check_triton
from appliance.log import describe, without_credentials
from appliance.settings import Settings

CHECKS: tuple[tuple[str, Callable[[Settings], Iterator[Check]]], ...] = (
    ("settings", check_settings),
    ("state folder", check_state_folder),
    ("ledger", check_ledger),
    ("orthanc", check_orthanc),
    ("c-echo", check_c_echo),
    ("triton", check_triton),
    ("service", check_service),
    ("access", check_access),
    ("destinations", check_destinations),
)


def diagnose(settings: Settings) -> list[Check]:
    """Return what was seen of settings, disk, ledger, Orthanc, its plugin, Triton, the model and the service."""
    checks = [one for name, check in CHECKS for one in _every_check(name, check, settings)]
    return [replace(one, what=without_credentials(one.what), remedy=without_credentials(one.remedy)) for one in checks]


def _every_check(name: str, check: Callable[[Settings], Iterator[Check]], settings: Settings) -> Iterator[Check]:
    """Yield what a check says; a fault that it did not foresee becomes a line of its own and ends only that check."""
    try:
        yield from check(settings)
    except Exception as error:  # its text may quote anything, a password too
        yield Check(
            name,
            "fail",
            f"could not be looked at: {describe(error)}",
            "report this with the version of the appliance: the doctor should have known what to do",
        )
