# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import ssl

from appliance.transport import tls_for


def test_a_client_for_plain_http_trusts_nobody_and_one_for_https_the_authorities_of_the_web() -> None:
    plain, tls = tls_for("http://127.0.0.1:8042"), tls_for("https://orthanc.example")
    assert plain.verify_mode == tls.verify_mode == ssl.CERT_REQUIRED
    assert plain.check_hostname
    assert plain.get_ca_certs() == []
    assert tls.get_ca_certs() != []
