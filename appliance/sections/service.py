# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The settings of the service's HTTP addresses: on its own machine, and for other machines."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationInfo, field_validator

from appliance.allowed import KnownHost, ListeningHost, LoopbackHost, PathName, Port
from appliance.sections.section import Section


class ServiceSettings(Section):
    """The service's own HTTP address on this machine: the board, doorbell, health and metrics."""

    host: LoopbackHost = Field(
        "127.0.0.1",
        description="Address of this machine that the service listens on; for other machines see access.host",
    )
    port: Port = Field(8044, description="Port the service listens on")
    trusted_hosts: tuple[KnownHost, ...] = Field(
        (),
        description="Host names and addresses, without port, by which clients address the service and the Orthanc of "
        "`make up`; requests to any other name are refused. localhost, 127.0.0.1, ::1 and the address that a request "
        "to the service arrives at are always trusted",
    )
    workers: int = Field(
        1,
        ge=1,
        le=16,
        description="Studies answered at the same time. The network reads one at a time: more than one lets a study be "
        "fetched or reported while another one is read, which helps with a GPU and many cores",
    )
    requests_waiting: int = Field(
        20,
        ge=1,
        le=10_000,
        description="Most requested answers that may be open at a time; further requests get status 429",
    )
    requests_a_minute: int = Field(
        30,
        ge=1,
        le=10_000,
        description="Most answers that may be requested within a minute; further requests get status 429",
    )
    stop_s: float = Field(
        30, gt=0, le=3600, description="Longest wait for the study in progress when the service stops, s"
    )


class AccessSettings(Section):
    """Where other machines reach the service: over TLS, and with an account (docs/security.md)."""

    host: ListeningHost = Field(
        "", description="Address the service listens on for other machines, 0.0.0.0 for all; empty: only this machine"
    )
    port: Port = Field(8443, description="Port the service listens on for other machines")
    clear_text: bool = Field(
        False, description="Serve without TLS, where a proxy or a network of containers encrypts what leaves the box"
    )
    certificate: PathName | None = Field(
        None,
        description="PEM file of the certificate with its chain, for access.host; reloaded when it is renewed",
        validate_default=True,
    )
    key: PathName | None = Field(None, description="PEM file of the certificate's key", validate_default=True)
    accounts: PathName | None = Field(
        None,
        description="File of the accounts that `appliance accounts` keeps; unset: accounts.toml in the state folder",
    )

    @field_validator("certificate")
    @classmethod
    def _is_there_for_others(cls, value: Path | None, known: ValidationInfo) -> Path | None:
        if known.data.get("host") and value is None and not known.data.get("clear_text"):
            raise ValueError("a certificate is needed with access.host, or access.clear_text = true")
        if value is not None and known.data.get("clear_text"):
            raise ValueError("a certificate is allowed without access.clear_text, which says that there is none")
        return value

    @field_validator("key")
    @classmethod
    def _has_a_certificate(cls, value: Path | None, known: ValidationInfo) -> Path | None:
        if "certificate" in known.data and (value is None) != (known.data["certificate"] is None):
            raise ValueError("a key is allowed with access.certificate, and needed with it")
        return value
