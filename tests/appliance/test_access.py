# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The service as a process that others reach: over TLS and by account there, as ever on its own machine."""

from __future__ import annotations

import signal
import ssl
import time
from pathlib import Path

import httpx
import pytest

from appliance.errors import SettingsError
from appliance.ledger.ledger import Ledger
from appliance.settings import Settings
from appliance.settings_sources import load_settings
from appliance.web.accounts import Role, new_account, write_accounts
from deploy.local.ports import free_ports
from tests.appliance.running import Running, until
from tests.certificates import Authority


def test_others_are_let_in_over_tls_by_account_and_the_trail_says_who_looked(
    orthanc_settings: Settings, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "hospital")
    pair = authority.sign("box")
    (port,) = free_ports(1)
    account, secret = new_account("anna", Role.LOOK)
    state = tmp_path / "state"
    write_accounts(state / "accounts.toml", [account])
    access = (
        f"[access]\nhost = '0.0.0.0'\nport = {port}\ncertificate = '{pair.certificate}'\nkey = '{pair.key}'\n"
        f"[archive]\nkeep_days = 30\n"
    )
    running = Running(orthanc_settings.model_copy(update={"state_dir": state}), tmp_path, access)
    running.start()
    try:
        trusting = ssl.create_default_context(cafile=str(authority.pair.certificate))
        with httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=trusting, trust_env=False, timeout=60) as others:
            assert others.get("/status").status_code == 401
            assert others.get("/status", auth=("anna", secret)).json()["version"]
            assert (
                others.post(f"/series/{'-'.join(['0a1b2c3d'] * 5)}/analyze", auth=("anna", secret)).status_code == 403
            )
            assert others.get("/health/live").json() == {"live": True}
            name = "hemorrhage_certificate_expires_timestamp_seconds "

            def told_end() -> float:
                lines = others.get("/metrics", auth=("anna", secret)).text.splitlines()
                return next(float(line.removeprefix(name)) for line in lines if line.startswith(name))

            until(lambda: told_end() > 0, "told when the certificate ends")
            assert 0 < told_end() - time.time() <= 86_400
        assert running.get("/status")["version"]
    finally:
        assert running.end(signal.SIGTERM) == 0
    assert secret not in (tmp_path / "service.log").read_text()
    ledger = Ledger(f"sqlite:///{state / 'ledger.sqlite'}")
    told = [(entry.event.value, entry.who) for entry in ledger.audit.entries()]
    assert told[0][0] == "started"
    assert told[-1][0] == "stopped"
    assert {("looked", "anna"), ("looked", "this machine"), ("turned away", "anna"), ("turned away", "nobody")} <= {
        *told
    }
    assert ledger.audit.verify().fault == ""
    ledger.close()


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("[access]\nhost = '0.0.0.0'", "access.certificate = None: a certificate is needed"),
        ("[access]\nhost = '0.0.0.0'\ncertificate = 'a.crt'", "access.key = None: a key is allowed"),
        ("[access]\nhost = '0.0.0.0'\ncertificate = 'a'\nkey = 'b'\nclear_text = true", "without access.clear_text"),
        ("[service]\nhost = '0.0.0.0'", "others reach the service by access.host"),
        ("[service]\nhost = 'box.example'", "others reach the service by access.host"),
    ],
)
def test_nobody_is_let_in_from_elsewhere_by_an_oversight(
    toml: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "appliance.toml"
    file.write_text(toml)
    with pytest.raises(SettingsError) as raised:
        load_settings(file)
    assert said in str(raised.value)
