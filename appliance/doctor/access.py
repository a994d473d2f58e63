# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whether other machines reach the service as the settings say: certificate, key and accounts."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.doctor.check import Check
from appliance.errors import SettingsError
from appliance.settings import Settings
from appliance.web.accounts import read_accounts
from appliance.web.certificate import Certificate


def check_access(settings: Settings) -> Iterator[Check]:
    """Check the certificate and the accounts, if other machines are to reach the service."""
    access = settings.access
    if not access.host:
        return
    try:
        Certificate.of(access)
        accounts = read_accounts(settings.accounts_file)
    except SettingsError as error:
        yield Check("access", "fail", str(error), "correct the file or the setting; the service does not start so")
        return
    at = f"{access.host}:{access.port}" + (" in the clear" if access.clear_text else " over TLS")
    if not accounts:
        yield Check(
            "access",
            "warn",
            f"the service listens on {at}, and there is no account in {settings.accounts_file}: nobody is let in",
            "make one: `appliance accounts add NAME look`, or `act` for who may ask for answers",
        )
        return
    yield Check("access", "ok", f"{len(accounts)} account{'s' if len(accounts) > 1 else ''} may ask at {at}")
