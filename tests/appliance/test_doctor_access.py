# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

from appliance.doctor.access import check_access
from appliance.sections.service import AccessSettings
from appliance.settings import Settings
from appliance.web.accounts import Role, new_account, write_accounts
from tests.certificates import Authority


def test_the_doctor_says_who_may_reach_the_service_and_what_keeps_them_out(tmp_path: Path) -> None:
    assert list(check_access(Settings(state_dir=tmp_path))) == []
    pair = Authority(tmp_path / "hospital").sign("box")
    access = AccessSettings(host="0.0.0.0", certificate=pair.certificate, key=pair.key)
    settings = Settings(state_dir=tmp_path, access=access)
    (nobody,) = check_access(settings)
    assert (nobody.state, "nobody is let in" in nobody.what) == ("warn", True)
    account, secret = new_account("anna", Role.LOOK)
    write_accounts(settings.accounts_file, [account])
    (well,) = check_access(settings)
    assert (well.state, well.what) == ("ok", "1 account may ask at 0.0.0.0:8443 over TLS")
    settings.accounts_file.chmod(0o644)
    (readable,) = check_access(settings)
    assert (readable.state, "chmod 600" in readable.what) == ("fail", True)
    settings.accounts_file.chmod(0o600)
    pair.key.write_text("no key")
    (broken,) = check_access(settings)
    assert (broken.state, "access.key" in broken.what) == ("fail", True)
    assert secret not in broken.what
