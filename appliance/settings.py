# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Every setting of the appliance: typed, with its default, unit and meaning, in this one place.

Where their values come from is in `settings_sources`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from appliance.allowed import (
    AeTitle,
    DatabaseUrl,
    Date,
    DicomText,
    Endpoint,
    HostName,
    HttpUrl,
    KnownHost,
    ListeningHost,
    LoopbackHost,
    PathName,
    Port,
    Receiver,
    Secret,
    Sender,
    SystemUser,
    UserName,
)
from appliance.clocks import DAY_S
from appliance.reading.contract import EXTEND_SCORE, JOIN_MM


def _no_truth_for_a_number(cls: type[BaseModel], value: Any, info: ValidationInfo) -> Any:
    """Raise for true and false where a number is meant: Python counts them as 1 and 0."""
    field = cls.model_fields.get(info.field_name or "")
    if isinstance(value, bool) and field is not None and field.annotation is not bool:
        raise ValueError("neither true nor false is allowed here")
    return value


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    _numbers = field_validator("*", mode="before")(classmethod(_no_truth_for_a_number))


class OrthancSettings(_Section):
    """The Orthanc that receives the studies and keeps the answers."""

    url: HttpUrl = Field("http://127.0.0.1:8043", description="Address of Orthanc's REST interface")
    username: UserName = Field("", description="Orthanc user, empty for none")
    password: str = Field("", description="Password of that user", repr=False, validate_default=True)
    aet: AeTitle = Field("HEMORRHAGE", description="AE title that scanners and the PACS send to")
    senders: tuple[Sender, ...] = Field(
        (),
        description="Who may send to the appliance's Orthanc, each as AE title and IP address, CT1@10.0.0.21; none: "
        "this machine alone; *: everybody, only for a network without other machines",
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
        if bool(value) != bool(known.data.get("username", value)):  # a wrong user has been told of already
            raise ValueError("a password is allowed with orthanc.username, and needed with it")
        return value


Engine = Literal["auto", "openvino-int8-bf16", "openvino-int8", "openvino-bf16", "openvino-fp32", "onnxruntime-fp32"]
"""What may run the detector on a CPU, as its model process names it."""


class TritonSettings(_Section):
    """The Triton server that runs the network."""

    host: HostName = Field("127.0.0.1", description="Address of Triton")
    others: tuple[Endpoint, ...] = Field(
        (),
        description="Further Tritons that serve the same models, HOST:PORT of their gRPC: each is used while those "
        "before it do not answer, with the same secret. A Triton on another machine gets tensors inside messages",
    )
    http_port: Port = Field(8400, description="Triton's HTTP port")
    grpc_port: Port = Field(8401, description="Triton's gRPC port")
    metrics_port: Port = Field(8402, description="Triton's metrics port")
    model_repository: PathName = Field(Path("model_repository"), description="Folder of models that Triton serves")
    site_models: PathName | None = Field(
        None,
        description="Folder of the detector versions that the site has loaded (`appliance models load`), a second "
        "model repository of Triton; unset: `models` in the state folder",
    )
    profile: Literal["cpu", "gpu", "gpu-datacentre"] = Field(
        "cpu", description="Which configs/PROFILE.pbtxt of each model is used (docs/engines.md)"
    )
    environment: PathName = Field(
        Path(".venv-triton"), description="Python environment with tritonserver and its model processes"
    )
    shared_memory: bool = Field(True, description="Pass tensors by shared memory (Triton on the same machine)")
    timeout_s: float = Field(
        120,
        ge=0.1,
        le=3600,
        description="Longest wait for one chunk (16 slices), s. The wait is 30 s for the first chunk, then 20 times "
        "the duration of the last one, but at least 10 s, so that a Triton that hangs is noticed soon. Each timeout "
        "doubles the next wait",
    )
    threads: int = Field(0, ge=0, le=1024, description="CPU threads of the network, 0 for all cores")
    engine: Engine = Field(
        "auto",
        description="What runs the network under profile cpu; auto: the fastest that the CPU supports and that passed "
        "the precision gate (docs/engines.md). A Triton that is started in another way uses HEMORRHAGE_ENGINE",
    )
    secret: Secret = Field(
        "",
        description="Sent with each request to a Triton that was started with --http-restricted-api and "
        "--grpc-restricted-protocol (docs/security.md); `make up` makes one",
        repr=False,
    )


class ServiceSettings(_Section):
    """The service's own HTTP address on this machine: status page, doorbell, health and metrics."""

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
        description="Studies answered at the same time; more than one helps only with a GPU and many cores",
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


class AccessSettings(_Section):
    """Where other machines reach the service: over TLS, and with an account (docs/security.md)."""

    host: ListeningHost = Field(
        "", description="Address the service listens on for other machines, 0.0.0.0 for all; empty: this machine alone"
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


class LedgerSettings(_Section):
    """The ledger of what was decided and done."""

    url: DatabaseUrl = Field(
        "",
        description="SQLAlchemy URL; empty for an SQLite file in the state folder",
        repr=False,
    )
    lease_s: float = Field(
        60,
        ge=5,
        le=DAY_S,
        description="When the worker of a job gives no sign for this long, another service takes the job over, s",
    )
    stall_s: float = Field(
        900,
        ge=30,
        le=DAY_S,
        description="A worker without progress on its study for this long counts as stuck: the service is no longer "
        "live, and the job's lease is not renewed, s",
    )
    keep_days: int = Field(
        365,
        ge=0,
        le=36_500,
        description="Rows about studies that left Orthanc longer ago than this are removed from the ledger, except "
        "for the audit trail, days; 0: nothing is removed",
    )
    busy_s: float = Field(
        10, ge=0.05, le=3600, description="Longest wait for another writer of the ledger before a try fails, s"
    )


class IntakeSettings(_Section):
    """When a study is decided and read."""

    quiet_s: float = Field(
        2.0,
        ge=0.2,
        le=600,
        description="A study is decided when no instance has arrived for this long, s; or for four times the longest "
        "pause within one of its series so far, if that is longer",
    )
    quiet_longest_s: float = Field(30.0, ge=0.2, le=600, description="Longest quiet time for a slow sender, s")
    incomplete_s: float = Field(
        120.0,
        ge=1,
        le=DAY_S,
        description="How long a series with a gap or too few slices may wait for the rest before it is refused, s",
    )
    ends_s: float = Field(
        30.0,
        ge=1,
        le=DAY_S,
        description="How long a head may wait when its lowest or highest slice shows that the base or top is missing; "
        "then it is read and marked as a part, s",
    )
    poll_s: float = Field(
        1.0, ge=0.1, le=3600, description="Interval at which Orthanc's change log is read without a doorbell, s"
    )
    since: Date = Field(
        "",
        description="First start only: begin with studies received since this UTC date (YYYYMMDD), not with the newest",
    )
    headers_kept: int = Field(
        2000,
        ge=100,
        le=1_000_000,
        description="Most headers of instances kept in memory until their study is decided (about 40 kB each)",
    )
    files_kept_mib: int = Field(
        256,
        ge=0,
        le=65536,
        description="Memory for the files of instances until their study is answered, so that none is fetched twice, "
        "MiB; a routine head CT has 150",
    )
    largest_series: int = Field(
        2000,
        ge=50,
        le=1_000_000,
        description="A CT series with more images is refused unread; a perfusion series may have ten thousand",
    )
    ahead_mib: int = Field(
        192,
        ge=0,
        le=65_536,
        description="Memory for studies that are read while their quiet time runs, MiB; 0 reads none ahead",
    )
    lost_s: float = Field(
        300.0,
        ge=0,
        le=DAY_S,
        description="Interval at which all current reports are looked for in Orthanc; a study without its report is "
        "answered again; 0: never, s",
    )
    queue_most: int = Field(
        500,
        ge=1,
        le=1_000_000,
        description="So many answers may wait or be on their way; a study that finds no room is decided when there is, "
        "emergencies first, and none is dropped",
    )
    retry_first_s: float = Field(
        2.0, ge=0.01, le=DAY_S, description="First pause after a failed try, s; doubles with each try"
    )
    retry_longest_s: float = Field(
        300.0, ge=0.01, le=DAY_S, description="Longest pause between tries, s; tries never end"
    )
    poison_tries: int = Field(
        5, ge=1, le=1000, description="A study is refused after it has broken the pipeline this often"
    )


class PrioritySettings(_Section):
    """Which of several waiting studies is read first."""

    urgent: tuple[DicomText, ...] = Field(
        ("emergency", "stat", "urgent", "trauma", "stroke", "notfall", "urgences"),
        description="Words of headers that mark an emergency (descriptions, protocol, department, station, ward, "
        "reason for visit): such a study goes first",
    )
    recent_days: int = Field(
        2,
        ge=1,
        le=36_500,
        description="A study that was scanned more days before it arrived is read after all others, d",
    )

    @field_validator("urgent")
    @classmethod
    def _are_words(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(word.strip() for word in value):
            raise ValueError("words are allowed, none of them empty; [] for none")
        return tuple(word.strip() for word in value)


class SelectionSettings(_Section):
    """Which series of a study is read."""

    min_slices: int = Field(8, ge=2, le=10_000, description="Fewest slices of a head series")
    min_coverage_mm: float = Field(
        60.0, gt=0, le=1000, description="Least extent of a head series along its normal, mm"
    )
    max_volume_mib: int = Field(
        512, ge=16, le=65_536, description="A stack is refused when its HU need more memory than this, MiB"
    )


class FindingSettings(_Section):
    """From detections to an answer."""

    threshold: float | None = Field(
        None,
        ge=0.05,
        le=1.0,
        description="Class score from which a detection makes the study positive; unset: the model's suggestion",
    )
    extend_score: float = Field(
        # A site that lowers the threshold below it need not lower this too.
        default_factory=lambda known: min(EXTEND_SCORE, known.get("threshold") or EXTEND_SCORE),
        ge=0.05,
        le=1.0,
        description="Class score from which a detection extends a lesion that has another at the threshold. At most "
        f"the threshold; equal to it: no extension; unset: {EXTEND_SCORE}, or the threshold if that is lower",
    )
    join_mm: float = Field(
        JOIN_MM, ge=0, le=300, description="Pieces of one type within this distance form one lesion, mm"
    )

    @field_validator("extend_score")
    @classmethod
    def _is_at_most_the_threshold(cls, value: float, known: ValidationInfo) -> float:
        threshold = known.data.get("threshold")
        if threshold is not None and value > threshold:
            raise ValueError(f"must be at most finding.threshold, which is {threshold:g} (the same: no extension)")
        return value


class ArchiveSettings(_Section):
    """What stays in Orthanc: sources and results are removed together, and only when nothing is waited for."""

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


class AuditSettings(_Section):
    """The audit trail."""

    keep_days: int = Field(0, ge=0, le=36_500, description="Entries older than this are removed, days; 0: all are kept")


class ResultsSettings(_Section):
    """How answers are written."""

    sr_sop_class: Literal["comprehensive-3d", "comprehensive"] = Field(
        "comprehensive-3d", description="SOP class of the SR"
    )
    key_images: int = Field(6, ge=0, le=40, description="Most key images of a study")
    refusals: bool = Field(
        True,
        description="Store a report without an answer in a study with CT images that could not be read: it says why",
    )
    compress_key_images: bool = Field(
        True,
        description="Write key images in RLE Lossless, half the size or less; false for an archive that accepts only "
        "uncompressed images, with an Orthanc that may not transcode",
    )
    institution: DicomText = Field(
        "", description="Institution name written to the results' equipment module, empty for none"
    )


class LogSettings(_Section):
    """The log files that the supervisor of `make up` rotates; elsewhere journald or the container does."""

    max_mib: float = Field(
        20,
        ge=0.01,
        le=100_000,
        description="Size at which a log is rotated, MiB; five older files are kept",
    )


class SupervisorSettings(_Section):
    """How `make up` treats a server that has died or hangs."""

    patience_s: float = Field(
        60,
        ge=5,
        le=DAY_S,
        description="A running server that does not answer for this long counts as dead and is restarted, s",
    )
    starting_s: float = Field(
        180, ge=5, le=DAY_S, description="Longest wait for the first answer of a server after its start, s"
    )
    user: SystemUser = Field(
        "hemorrhage",
        description="User that the three servers run as when root starts them: created if it does not exist, and made "
        "the owner of the state folder; empty: root",
    )


class Settings(BaseSettings):
    """All settings of the appliance, by section."""

    model_config = SettingsConfigDict(
        env_prefix="APPLIANCE_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
    )
    _numbers = field_validator("*", mode="before")(classmethod(_no_truth_for_a_number))

    state_dir: PathName = Field(
        Path("var"), description="Folder of the ledger, logs and Orthanc's storage in `make up`"
    )
    disk_low_gb: float = Field(
        10,
        ge=0,
        le=1_000_000,
        description="`doctor` warns when less than this is free at the state folder, and reports a fault below a tenth "
        "of it or below 1 GB; 0: not watched, GB. For Orthanc's storage see orthanc.storage",
    )
    orthanc: OrthancSettings = OrthancSettings()
    triton: TritonSettings = TritonSettings()
    service: ServiceSettings = ServiceSettings()
    access: AccessSettings = AccessSettings()
    ledger: LedgerSettings = LedgerSettings()
    intake: IntakeSettings = IntakeSettings()
    priority: PrioritySettings = PrioritySettings()
    selection: SelectionSettings = SelectionSettings()
    finding: FindingSettings = FindingSettings()
    results: ResultsSettings = ResultsSettings()
    archive: ArchiveSettings = ArchiveSettings()
    audit: AuditSettings = AuditSettings()
    log: LogSettings = LogSettings()
    supervisor: SupervisorSettings = SupervisorSettings()

    @property
    def ledger_url(self) -> str:
        """The ledger's SQLAlchemy URL."""
        return self.ledger.url or f"sqlite:///{(self.state_dir / 'ledger.sqlite').absolute()}"

    @property
    def accounts_file(self) -> Path:
        """The file of the accounts of those who reach the service from elsewhere."""
        return self.access.accounts or self.state_dir / "accounts.toml"

    @property
    def site_models(self) -> Path:
        """The folder of the detector versions that the site brought in."""
        return self.triton.site_models or self.state_dir / "models"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the framework's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments win over the environment, the environment over the TOML file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)
