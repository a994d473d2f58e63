# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Every setting of the appliance: typed, with its default, unit and meaning, in this one place.

Read from one TOML file (`--settings FILE`, else `$APPLIANCE_SETTINGS`, else `appliance.toml` in the working folder,
else `/etc/hemorrhage-appliance/appliance.toml`) and from the environment (`APPLIANCE_INTAKE__QUIET_S=3`), which wins.
A wrong value stops the start with the setting's name, its value and what is allowed.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from appliance.errors import SettingsError
from appliance.reading.contract import EXTEND_SCORE, JOIN_MM

SYSTEM_FILE = Path("/etc/hemorrhage-appliance/appliance.toml")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OrthancSettings(_Section):
    """The Orthanc that receives the studies and keeps the answers."""

    url: str = Field("http://127.0.0.1:8043", description="Address of Orthanc's REST interface")
    username: str = Field("", description="Orthanc user, empty for none")
    password: str = Field("", description="Password of that user", repr=False)
    aet: str = Field("HEMORRHAGE", max_length=16, description="AE title that scanners and the PACS send to")
    dicom_host: str = Field("127.0.0.1", description="Address where Orthanc's DICOM port is reached")
    dicom_port: int = Field(4243, ge=1, le=65535, description="Orthanc's DICOM port")
    timeout_s: float = Field(30, gt=0, description="Longest wait for one answer of Orthanc, s")
    largest_answer_mib: int = Field(
        64,
        ge=1,
        le=1024,
        description="A longer answer of Orthanc is not taken, a larger image is refused; a CT image has 0.5 to 2, the "
        "list of a million series 45, MiB",
    )


class TritonSettings(_Section):
    """The Triton server that runs the network."""

    host: str = Field("127.0.0.1", description="Address of Triton")
    http_port: int = Field(8400, ge=1, le=65535, description="Triton's HTTP port")
    grpc_port: int = Field(8401, ge=1, le=65535, description="Triton's gRPC port")
    metrics_port: int = Field(8402, ge=1, le=65535, description="Triton's metrics port")
    model_repository: Path = Field(Path("model_repository"), description="Folder of models that Triton serves")
    profile: Literal["cpu", "gpu"] = Field("cpu", description="Which configs/PROFILE.pbtxt of each model is used")
    environment: Path = Field(
        Path(".venv-triton"), description="Python environment with tritonserver and its model processes"
    )
    shared_memory: bool = Field(True, description="Pass tensors by shared memory (Triton on the same machine)")
    timeout_s: float = Field(
        120,
        gt=0,
        description="Longest wait for one chunk (16 slices), s; the first is waited for 30 s, later ones 20 times as "
        "long as the last one took, but at least 10 s, so that a Triton that hangs is noticed soon; each wait in vain "
        "doubles the next",
    )
    threads: int = Field(0, ge=0, description="CPU threads of the network, 0 for all cores")


class ServiceSettings(_Section):
    """The service's own HTTP address: status page, doorbell, health and metrics."""

    host: str = Field("127.0.0.1", description="Address the service listens on")
    port: int = Field(8044, ge=1, le=65535, description="Port the service listens on")
    trusted_hosts: tuple[str, ...] = Field(
        (),
        description="Host names and addresses, without port, by which others call the service; a request to another "
        "one is refused. localhost, 127.0.0.1, ::1 and the address that a request arrives at always count",
    )
    workers: int = Field(
        1, ge=1, le=16, description="Studies answered at a time; more than one pays only with a GPU and many cores"
    )
    stop_s: float = Field(30, gt=0, description="Longest wait for a study that was begun when the service stops, s")


class LedgerSettings(_Section):
    """The ledger of what was decided and done."""

    url: str = Field(
        "",
        description="SQLAlchemy URL; empty for an SQLite file in the state folder",
        repr=False,
    )
    lease_s: float = Field(
        60, ge=5, description="A job of a service that gave no sign for this long is taken up by another one, s"
    )


class IntakeSettings(_Section):
    """When a study is looked at."""

    quiet_s: float = Field(
        2.0, ge=0.2, le=600, description="A study is decided when no instance has come for this long, s"
    )
    incomplete_s: float = Field(
        120.0,
        ge=1,
        description="A series with a gap or too few slices is waited for this long, then refused, s",
    )
    poll_s: float = Field(1.0, ge=0.1, description="How often Orthanc's change log is read without a doorbell, s")
    since: str = Field(
        "",
        description="First start only: begin with studies received since this UTC date (YYYYMMDD), not with the newest",
    )
    headers_kept: int = Field(
        2000, ge=100, description="Headers of instances kept in memory until their study is decided (about 40 kB each)"
    )
    largest_series: int = Field(
        2000, ge=50, description="A CT series of more images is refused unread; a perfusion may have ten thousand"
    )
    retry_first_s: float = Field(2.0, gt=0, description="First pause after a failed try, s; doubles with each try")
    retry_longest_s: float = Field(300.0, gt=0, description="Longest pause between tries, s; tries do not end")
    poison_tries: int = Field(5, ge=1, description="Tries after which a job that crashes the pipeline itself is failed")

    @field_validator("since")
    @classmethod
    def _is_a_date(cls, value: str) -> str:
        if value:
            datetime.strptime(value, "%Y%m%d")
        return value


class SelectionSettings(_Section):
    """Which series of a study is read."""

    min_slices: int = Field(8, ge=2, description="Fewest slices of a head series")
    min_coverage_mm: float = Field(60.0, gt=0, description="Least extent of a head series along its normal, mm")
    max_volume_mib: int = Field(512, ge=16, description="A stack whose HU need more memory than this is refused, MiB")


class FindingSettings(_Section):
    """From detections to an answer."""

    threshold: float | None = Field(
        None,
        ge=0.05,
        le=1.0,
        description="Class score from which a detection makes the study positive; unset: the model's own suggestion",
    )
    extend_score: float = Field(
        # A site that lowers the threshold below it need not lower this too.
        default_factory=lambda known: min(EXTEND_SCORE, known.get("threshold") or EXTEND_SCORE),
        ge=0.05,
        le=1.0,
        description="Class score from which a detection extends a lesion that holds one at the threshold; at most the "
        f"threshold, equal to it for no extension; unset: {EXTEND_SCORE}, or a lower threshold",
    )
    join_mm: float = Field(JOIN_MM, ge=0, description="Pieces of one type within this distance are one lesion, mm")

    @field_validator("extend_score")
    @classmethod
    def _is_at_most_the_threshold(cls, value: float, known: ValidationInfo) -> float:
        threshold = known.data.get("threshold")
        if threshold is not None and value > threshold:
            raise ValueError(f"must be at most finding.threshold, which is {threshold:g} (the same: no extension)")
        return value


class ResultsSettings(_Section):
    """How answers are written."""

    sr_sop_class: Literal["comprehensive-3d", "comprehensive"] = Field(
        "comprehensive-3d", description="SOP class of the SR"
    )
    key_images: int = Field(6, ge=0, le=40, description="At most this many key images a study")
    institution: str = Field(
        "", description="Institution name written to the results' equipment module, empty for none"
    )


class LogSettings(_Section):
    """The log files that the service keeps small."""

    files: tuple[Path, ...] = Field(
        (),
        description="Log files to keep small, each open for appending; `make up` adds Orthanc's, Triton's and the "
        "service's own. None where journald or a container takes the output",
    )
    max_mib: float = Field(
        20, gt=0, description="Size from which a log is moved to its first older file, MiB; five older ones are kept"
    )


class Settings(BaseSettings):
    """All settings of the appliance, by section."""

    model_config = SettingsConfigDict(
        env_prefix="APPLIANCE_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
    )

    state_dir: Path = Field(Path("var"), description="Folder of the ledger, logs and Orthanc's storage in `make up`")
    disk_low_gb: float = Field(
        10,
        ge=0,
        allow_inf_nan=False,
        description="With less than this free at the state folder `doctor` warns; with less than a tenth of it, and "
        "with less than 1 GB, it reports a fault; 0: not watched, GB. Another disk for Orthanc's storage is not seen",
    )
    orthanc: OrthancSettings = OrthancSettings()
    triton: TritonSettings = TritonSettings()
    service: ServiceSettings = ServiceSettings()
    ledger: LedgerSettings = LedgerSettings()
    intake: IntakeSettings = IntakeSettings()
    selection: SelectionSettings = SelectionSettings()
    finding: FindingSettings = FindingSettings()
    results: ResultsSettings = ResultsSettings()
    log: LogSettings = LogSettings()

    @property
    def ledger_url(self) -> str:
        """The ledger's SQLAlchemy URL."""
        return self.ledger.url or f"sqlite:///{(self.state_dir / 'ledger.sqlite').absolute()}"

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


def settings_file(given: Path | None = None) -> Path | None:
    """Return the settings file that applies, None when there is none and the defaults stand.

    Raises `SettingsError` when a file was named and is not there, or its folder cannot be looked into.
    """
    named = given or (Path(os.environ["APPLIANCE_SETTINGS"]) if os.environ.get("APPLIANCE_SETTINGS") else None)
    try:
        if named is not None and not named.is_file():
            raise SettingsError(f"settings file {named}: not there; name an existing TOML file or leave it out")
        return named or next((path for path in (Path("appliance.toml"), SYSTEM_FILE) if path.is_file()), None)
    except OSError as error:
        raise SettingsError(
            f"settings file {error.filename}: cannot be looked for ({error.strerror}); check the rights of its folder"
        ) from error


def load_settings(given: Path | None = None, **overrides: Any) -> Settings:
    """Return the settings from file, environment and `overrides` (sections as dicts, which win).

    Raises `SettingsError` with the name, the value and what is allowed of every wrong setting.
    """
    file = settings_file(given)

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=file)

    try:
        return FromFile(**overrides)
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, item['loc']))}{_value(item)}: {item['msg']}" for item in error.errors()]
        # Not chained: the framework's own text holds every value.
        raise SettingsError(f"wrong settings (file: {file or 'none'})\n" + "\n".join(lines)) from None
    except ValueError as error:  # not TOML
        raise SettingsError(f"settings file {file}: {error}") from error
    except OSError as error:
        raise SettingsError(f"settings file {file}: cannot be read ({error.strerror}); check its rights") from error


def _value(item: ErrorDetails) -> str:
    """Return the wrong value as it may be shown: only that of one known setting which holds no secret.

    A misspelt name may stand before a password, and a whole section that is wrong holds its password too.
    """
    section, _, name = ".".join(map(str, item["loc"])).partition(".")
    outer = Settings.model_fields.get(section)
    inner = getattr(outer.annotation, "model_fields", None) if outer is not None else None
    field = outer if inner is None else inner.get(name)
    shown = field is not None and field.repr and name != "url"
    return f" = {item['input']!r}" if shown else ""
