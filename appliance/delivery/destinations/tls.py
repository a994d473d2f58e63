# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""TLS to destinations: the certificate of each is checked, and why one is not accepted is said in words."""

from __future__ import annotations

import ssl
from pathlib import Path

from appliance.delivery.destinations.destination import AwayError


def tls_context(ca: Path | None) -> ssl.SSLContext:
    """Return a context that checks certificates by the machine's authorities, or by the site's own file."""
    try:
        return ssl.create_default_context(cafile=None if ca is None else str(ca))
    except OSError as error:
        raise AwayError(f"{ca}: is no PEM file that can be read ({error.strerror or type(error).__name__})") from None


def certificate_fault(error: BaseException | None) -> str:
    """Return why a certificate was not accepted, if that is what an error, or one behind it, is about; else nothing."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            said = error.verify_message
            if "mismatch" in said.lower():
                return f"its certificate is for another name: {said.rstrip('.')}"
            if "expired" in said or "not yet valid" in said:
                return f"its certificate is not valid now: {said}"
            return f"no authority that is known here signed its certificate ({said}); see `ca` or `tls_ca`"
        if isinstance(error, ssl.SSLError):
            return f"it does not speak TLS as it should ({error.reason or type(error).__name__})"
        error = error.__cause__ or error.__context__
    return ""
