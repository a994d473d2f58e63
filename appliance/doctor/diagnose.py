# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Checks everything that the appliance depends on and says, for each fault, what to do about it.

`diagnose` returns the list that `appliance doctor` prints. It creates no folder, no ledger file and no study; it sends
Triton one golden chunk, and Orthanc a C-ECHO. No check can end the others, and none reveals a secret. A new check is a
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
from appliance.doctor.packages import check_packages
from appliance.doctor.prior import check_prior
from appliance.doctor.service import check_service
from appliance.doctor.settings import check_settings
from appliance.doctor.state_folder import check_state_folder
from appliance.doctor.triton import check_triton
from appliance.doctor.viewer import check_viewer
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
    ("viewer", check_viewer),
    ("destinations", check_destinations),
    ("priors", check_prior),
    ("packages", check_packages),
)


def diagnose(settings: Settings) -> list[Check]:
    """Return the results for settings, disk, ledger, Orthanc, its plugin, Triton, the model and the service."""
    checks = [one for name, check in CHECKS for one in _every_check(name, check, settings)]
    return [replace(one, what=without_credentials(one.what), remedy=without_credentials(one.remedy)) for one in checks]


def _every_check(name: str, check: Callable[[Settings], Iterator[Check]], settings: Settings) -> Iterator[Check]:
    """Yield the results of a check; an unforeseen fault becomes a result too and ends only that check."""
    try:
        yield from check(settings)
    except Exception as error:  # its text may quote anything, even a password
        yield Check(
            name,
            "fail",
            f"could not be looked at: {describe(error)}",
            "report this with the version of the appliance: the doctor should have known what to do",
        )
