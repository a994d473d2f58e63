# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""All settings of the appliance, each typed, with its default, unit and meaning; the sections are in `sections`.

Where their values come from is in `settings_sources`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import Field, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from appliance.allowed import PathName
from appliance.sections.answers import FindingSettings, ResultsSettings, SelectionSettings
from appliance.sections.delivery import DeliverySettings, DestinationSettings, Name, RuleSettings, check_rules
from appliance.sections.intake import IntakeSettings, PrioritySettings
from appliance.sections.ledger import AuditSettings, LedgerSettings
from appliance.sections.orthanc import ArchiveSettings, OrthancSettings
from appliance.sections.prior import PriorSettings, check_pacs
from appliance.sections.section import refuse_bool_for_number
from appliance.sections.service import AccessSettings, ServiceSettings
from appliance.sections.supervisor import LogSettings, SupervisorSettings
from appliance.sections.traces import TracesSettings
from appliance.sections.triton import TritonSettings
from appliance.sections.viewer import ViewerSettings

_INSTALLED_VIEWER: Final = Path(__file__).resolve().parents[1] / "viewer"
"""Beside the package, where `deploy/install.sh` puts it."""


class Settings(BaseSettings):
    """All settings of the appliance, by section."""

    model_config = SettingsConfigDict(
        env_prefix="APPLIANCE_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
    )
    _numbers = field_validator("*", mode="before")(classmethod(refuse_bool_for_number))

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
    viewer: ViewerSettings = ViewerSettings()
    ledger: LedgerSettings = LedgerSettings()
    intake: IntakeSettings = IntakeSettings()
    priority: PrioritySettings = PrioritySettings()
    selection: SelectionSettings = SelectionSettings()
    finding: FindingSettings = FindingSettings()
    results: ResultsSettings = ResultsSettings()
    prior: PriorSettings = PriorSettings()
    delivery: DeliverySettings = DeliverySettings()
    destinations: dict[Name, DestinationSettings] = Field(
        {},
        description="Whom rules may send to or tell, each a table [destinations.NAME] (docs/delivery.md)",
        repr=False,
    )
    rules: tuple[RuleSettings, ...] = Field(
        (), description="What is done with an answer, each a table [[rules]], read from the top (docs/delivery.md)"
    )
    archive: ArchiveSettings = ArchiveSettings()
    audit: AuditSettings = AuditSettings()
    log: LogSettings = LogSettings()
    traces: TracesSettings = TracesSettings()
    supervisor: SupervisorSettings = SupervisorSettings()

    _pacs_may_send = field_validator("prior")(check_pacs)
    _rules_fit = field_validator("rules")(check_rules)

    @property
    def ledger_url(self) -> str:
        """The ledger's SQLAlchemy URL."""
        return self.ledger.url or f"sqlite:///{(self.state_dir / 'ledger.sqlite').absolute()}"

    @property
    def accounts_file(self) -> Path:
        """The file of the accounts of those who reach the service from elsewhere."""
        return self.access.accounts or self.state_dir / "accounts.toml"

    @property
    def viewer_folder(self) -> Path:
        """The folder of the OHIF viewer, if there is one; `make viewer` and the installation lay it out."""
        made_here = self.state_dir / "viewer"
        return self.viewer.folder or (made_here if made_here.is_dir() else _INSTALLED_VIEWER)

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
