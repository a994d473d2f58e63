# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whether Orthanc answers a C-ECHO at the AE title and port that scanners are given."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from typing import Final

from pynetdicom import AE, evt
from pynetdicom.pdu import A_ASSOCIATE_RJ

from appliance.doctor.check import PATIENCE_S, Check
from appliance.settings import Settings

DOCTOR_AET: Final = "APPLIANCE_DOCTOR"
"""The AE title that the doctor uses."""
_VERIFICATION: Final = "1.2.840.10008.1.1"


def check_c_echo(settings: Settings) -> Iterator[Check]:
    """Send Orthanc a C-ECHO."""
    orthanc = settings.orthanc
    at = f"{orthanc.aet} at {orthanc.dicom_host}:{orthanc.dicom_port}"
    try:
        socket.create_connection((orthanc.dicom_host, orthanc.dicom_port), PATIENCE_S).close()
    except OSError as error:
        yield Check(
            "c-echo",
            "fail",
            f"nothing listens on {orthanc.dicom_host}:{orthanc.dicom_port}: {error.strerror or error}",
            "start Orthanc, or set orthanc.dicom_host and orthanc.dicom_port to its DICOM port",
        )
        return
    entity = AE(ae_title=DOCTOR_AET)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = PATIENCE_S
    entity.add_requested_context(_VERIFICATION)
    try:
        context = _tls(settings)
    except OSError as error:
        yield Check(
            "c-echo",
            "fail",
            f"orthanc.dicom_tls_ca, orthanc.dicom_tls_certificate: cannot be used ({error.strerror})",
            "name PEM files that this user may read; the certificate's key stands in the certificate's file",
        )
        return
    # A peer that rejects closes the connection at once, and the association may then count as aborted; only a received
    # A-ASSOCIATE-RJ proves a rejection.
    answers: list[type] = []
    association = entity.associate(
        orthanc.dicom_host,
        orthanc.dicom_port,
        ae_title=orthanc.aet,
        evt_handlers=[(evt.EVT_PDU_RECV, lambda event: answers.append(type(event.pdu)))],
        tls_args=(context, orthanc.dicom_host) if context is not None else None,
    )
    if not association.is_established:
        rejected = A_ASSOCIATE_RJ in answers
        yield Check(
            "c-echo",
            "fail",
            f"{at} turned the association down" if rejected else f"{at} does not speak DICOM",
            f"set orthanc.aet to Orthanc's DicomAet, and list {DOCTOR_AET} with this machine's address in its "
            "DicomModalities, where scanners are listed too"
            if rejected
            else "set orthanc.dicom_port to Orthanc's DicomPort, another program listens there; or, with "
            "DicomTlsEnabled, orthanc.dicom_tls_ca and orthanc.dicom_tls_certificate",
        )
        return
    try:
        status = association.send_c_echo()
    finally:
        association.release()
    if status and status.Status == 0:
        yield Check("c-echo", "ok", f"{at} answers" + (" over TLS" if context is not None else ""))
    else:
        yield Check(
            "c-echo",
            "fail",
            f"{at} answers C-ECHO with {f'status 0x{status.Status:04X}' if status else 'nothing'}",
            "set DicomAlwaysAllowEcho in Orthanc's configuration, and see its log",
        )


def _tls(settings: Settings) -> ssl.SSLContext | None:
    """Return what a C-ECHO over TLS needs, None for one in the clear. Raises `OSError` for unusable files.

    The certificate's name is not compared: DICOM identifies a node by address and AE title, and PS3.15 B.12 requires
    only the authority.
    """
    orthanc = settings.orthanc
    if orthanc.dicom_tls_ca is None:
        return None
    context = ssl.create_default_context(cafile=str(orthanc.dicom_tls_ca))
    context.check_hostname = False
    if orthanc.dicom_tls_certificate is not None:
        context.load_cert_chain(orthanc.dicom_tls_certificate)
    return context
