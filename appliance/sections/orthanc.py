# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The settings of Orthanc, and of what stays in it."""

from __future__ import annotations

from pydantic import Field, ValidationInfo, field_validator

from appliance.allowed import AeTitle, HostName, HttpUrl, PathName, Port, Receiver, Sender, UserName
from appliance.sections.section import Section


class OrthancSettings(Section):
    """The Orthanc that receives the studies and keeps the answers."""

    url: HttpUrl = Field("http://127.0.0.1:8043", description="Address of Orthanc's REST interface")
    username: UserName = Field("", description="Orthanc user, empty for none")
    password: str = Field("", description="Password of that user", repr=False, validate_default=True)
    aet: AeTitle = Field("HEMORRHAGE", description="AE title that scanners and the PACS send to")
    senders: tuple[Sender, ...] = Field(
        (),
        description="Who may send to the appliance's Orthanc, each as AE title and IP address, CT1@10.0.0.21; none: "
        "only this machine; *: everybody, only for a network without other machines",
    )
    receivers: tuple[Receiver, ...] = Field(
        (),
        description="Whom the appliance's Orthanc may send to, for its scripts and its pages, each as "
        "NAME=AET@ADDRESS:PORT, PACS=PACS1@10.0.0.5:104",
    )
    scripts: tuple[PathName, ...] = Field(
        (),
        description="Lua scripts of the site for the appliance's Orthanc; they can route on answers (docs/routing.md)",
    )
    dicom_host: HostName = Field("127.0.0.1", description="Address where Orthanc's DICOM port is reached")
    dicom_port: Port = Field(4243, description="Orthanc's DICOM port")
    dicom_tls_ca: PathName | None = Field(
        None,
        description="PEM file of the authority that signed Orthanc's DICOM certificate; if set, `doctor` uses TLS",
    )
    dicom_tls_certificate: PathName | None = Field(
        None, description="PEM file of the certificate and key that `doctor` presents when Orthanc asks for one"
    )
    storage: PathName | None = Field(
        None,
        description="Orthanc's StorageDirectory, if it is on this machine: when it is full the service is not "
        "ready; `make up` sets it; unset: not watched",
    )
    timeout_s: float = Field(30, ge=0.1, le=3600, description="Longest wait for one answer of Orthanc, s")
    largest_answer_mib: int = Field(
        64,
        ge=1,
        le=1024,
        description="Largest answer that is accepted from Orthanc; a larger image is refused. A CT image has 0.5 to 2, "
        "the list of a million series 45, MiB",
    )

    @field_validator("receivers")
    @classmethod
    def _name_each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        names = [one.partition("=")[0] for one in value]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"each name is allowed once, and {name} is there twice")
            if name.startswith("sender-"):
                raise ValueError(f"{name} is a name of the appliance's own: those of orthanc.senders begin so")
        return value

    @field_validator("password")
    @classmethod
    def _has_a_user(cls, value: str, known: ValidationInfo) -> str:
        if bool(value) != bool(known.data.get("username", value)):  # a wrong user was reported already
            raise ValueError("a password is allowed with orthanc.username, and needed with it")
        return value


class ArchiveSettings(Section):
    """What stays in Orthanc: sources and results are removed together, and only when the study is finished."""

    keep_days: int = Field(
        0,
        ge=0,
        le=36_500,
        description="Answered and refused studies are removed from Orthanc when their last image arrived longer ago "
        "than this, days; 0: none is removed for its age",
    )
    most_gb: float = Field(
        0,
        ge=0,
        le=1_000_000,
        description="When Orthanc stores more than this, the oldest of those studies are removed, GB; 0: no limit",
    )
