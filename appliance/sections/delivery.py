# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whom the answers go to, and by which rules."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SerializeAsAny, ValidationInfo, model_validator

from appliance.allowed import DicomText, HostName, HttpUrl, MailAddress, PathName, Port, TimeZone, UserName
from appliance.clocks import DAY_S
from appliance.delivery.conditions import check_condition
from appliance.sections.section import Section

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
"""The name of a destination: in rules, in the ledger and in metrics."""


def _check_mark(word: str) -> str:
    if word.startswith("hemorrhage-"):
        raise ValueError("hemorrhage-… are the labels of answers: take another word")
    return word


MarkWord = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$"), AfterValidator(_check_mark)]
"""A word of the site's own; Orthanc takes no other signs in a label, and `hemorrhage-…` are the labels of answers."""
Sent = Literal["sr", "seg", "key-images", "key-objects", "source"]
"""What can be sent to an archive: results by kind, or the series that was read."""


PriorityCode = Annotated[str, Field(pattern=r"^[A-Z0-9]{1,4}$")]
"""A code of HL7 table 0485: S stat, A as soon as possible, R routine, T timing critical; sites have others too."""


class DeliverySettings(Section):
    """How the outbox delivers."""

    time_zone: TimeZone = Field(
        "", description="Zone of `hour` and `weekday` in rules, as Europe/Vienna; empty: that of this machine"
    )
    retry_first_s: float = Field(
        5.0, ge=0.01, le=DAY_S, description="First pause after a delivery that failed, s; doubles with each try"
    )
    retry_longest_s: float = Field(120.0, ge=0.01, le=DAY_S, description="Longest pause between such tries, s")
    give_up_days: float = Field(
        7.0,
        gt=0,
        le=365,
        description="A delivery that has failed for this long is given up and told of, days; `appliance outbox retry` "
        "tries it again",
    )
    step_aside_tries: int = Field(
        5,
        ge=1,
        le=1000,
        description="A delivery that its destination has turned down so often, though it answers, no longer keeps "
        "those about other studies waiting; it is tried again nevertheless",
    )


class DestinationSection(Section):
    """What all destinations have."""

    kind: str
    timeout_s: float = Field(30.0, ge=0.1, le=3600, description="Longest wait for the destination, s")


class OrthancModalitySettings(DestinationSection):
    """A DICOM node that the appliance's Orthanc sends to by C-STORE."""

    kind: Literal["orthanc-modality"]
    modality: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = Field(
        description="Name of the node in Orthanc: that of orthanc.receivers, or of DicomModalities"
    )
    storage_commitment: bool = Field(
        False, description="Ask the node to commit to what it took; delivered once it has (the node must support it)"
    )
    commitment_s: float = Field(
        600.0, ge=1, le=DAY_S, description="How long the node may take to commit before all is sent again, s"
    )


class OrthancPeerSettings(DestinationSection):
    """Another Orthanc, to which the appliance's Orthanc sends over HTTP."""

    kind: Literal["orthanc-peer"]
    peer: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = Field(
        description="Name of the peer in Orthanc's OrthancPeers"
    )


class DicomWebSettings(DestinationSection):
    """A server that takes DICOM by STOW-RS."""

    kind: Literal["dicomweb"]
    url: HttpUrl = Field(description="Address of its DICOMweb service, before /studies")
    username: UserName = Field("", description="User, empty for none")
    password_file: PathName | None = Field(None, description="File that holds the user's password")
    ca: PathName | None = Field(None, description="PEM file of the authority that signed its certificate")


class WebhookSettings(DestinationSection):
    """A program that takes JSON by HTTP POST."""

    kind: Literal["webhook"]
    url: HttpUrl = Field(description="Where the JSON is posted")
    secret_file: PathName | None = Field(
        None, description="File that holds the secret of the signature (HMAC-SHA256 of the body); unset: none"
    )
    ca: PathName | None = Field(None, description="PEM file of the authority that signed its certificate")


class Hl7Settings(DestinationSection):
    """A system that takes HL7 v2 ORU^R01 messages over MLLP."""

    kind: Literal["hl7"]
    host: HostName = Field(description="Address of the listener")
    port: Port = Field(description="Port of the listener")
    sending_application: DicomText = Field("HEMORRHAGE", description="MSH-3")
    sending_facility: DicomText = Field("", description="MSH-4")
    receiving_application: DicomText = Field("", description="MSH-5")
    receiving_facility: DicomText = Field("", description="MSH-6")
    message: Literal["oru", "orm", "omg"] = Field(
        "oru",
        description="oru: the answer (ORU^R01); orm, omg: a change of the order's priority (ORM^O01, OMG^O19, ORC-1 "
        "XO) and nothing of the answer",
    )
    urgent: PriorityCode = Field("S", description="Priority of a hemorrhage, and of a study that was urgent before")
    routine: PriorityCode = Field("R", description="Priority of any other")
    priority_in: tuple[Literal["tq1", "obr27"], ...] = Field(
        ("tq1",), min_length=1, description="Where the priority stands in ORU and OMG; OBR-27 for receivers of v2.3"
    )
    encoding: Literal["utf-8", "iso-8859-1", "ascii"] = Field(
        "utf-8", description="Character set of the messages (MSH-18); what it does not have becomes a question mark"
    )
    tls_ca: PathName | None = Field(
        None, description="PEM file of the authority that signed the listener's certificate; if set, TLS is used"
    )


class UpsSettings(DestinationSection):
    """A worklist that speaks UPS-RS, in which the priority of a study's workitems is set."""

    kind: Literal["ups"]
    url: HttpUrl = Field(description="Address of its DICOMweb service, before /workitems")
    find_by: Literal["study", "accession"] = Field(
        "study", description="What of the Referenced Request Sequence finds the workitems of a study"
    )
    urgent: Literal["HIGH", "MEDIUM", "LOW"] = Field(
        "HIGH", description="Priority of a hemorrhage, and of a study that was urgent before"
    )
    routine: Literal["HIGH", "MEDIUM", "LOW"] = Field(
        "MEDIUM", description="Priority restored to a workitem that had none before it was raised"
    )
    patience_s: float = Field(
        300.0, ge=0, le=DAY_S, description="How long a workitem is waited for since a search first found none, s"
    )
    username: UserName = Field("", description="User, empty for none")
    password_file: PathName | None = Field(None, description="File that holds the user's password")
    ca: PathName | None = Field(None, description="PEM file of the authority that signed its certificate")


class MailSettings(DestinationSection):
    """People who get an e-mail; it names no patient."""

    kind: Literal["mail"]
    host: HostName = Field(description="Mail server")
    port: Port = Field(587, description="Its port")
    security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="none: in the clear, for a server on this machine"
    )
    sender: MailAddress = Field(description="Address that the mail comes from")
    recipients: tuple[MailAddress, ...] = Field(min_length=1, description="Addresses that it goes to")
    username: UserName = Field("", description="User at the mail server, empty for none")
    password_file: PathName | None = Field(None, description="File that holds the user's password")
    ca: PathName | None = Field(None, description="PEM file of the authority that signed the server's certificate")


KINDS: Final[dict[str, type[DestinationSection]]] = {
    "orthanc-modality": OrthancModalitySettings,
    "orthanc-peer": OrthancPeerSettings,
    "dicomweb": DicomWebSettings,
    "webhook": WebhookSettings,
    "hl7": Hl7Settings,
    "ups": UpsSettings,
    "mail": MailSettings,
}
"""The settings of each kind of destination."""


def destination_settings(value: Any) -> Any:
    """Return the settings of one destination, by its kind. Raises `ValueError` for a kind that there is not."""
    if isinstance(value, DestinationSection):
        return value
    if not isinstance(value, dict):
        raise ValueError("this is a table: [destinations.NAME], with its kind and settings below it")
    kind = value.get("kind")
    if kind not in KINDS:
        said = "kind is missing" if kind is None else "there is no such kind"
        raise ValueError(f"{said}; kind = one of {', '.join(KINDS)} is allowed")
    return KINDS[kind].model_validate(value)


DestinationSettings = Annotated[SerializeAsAny[DestinationSection], BeforeValidator(destination_settings)]
TAKES_OBJECTS: Final = (OrthancModalitySettings, OrthancPeerSettings, DicomWebSettings)
"""Destinations that take DICOM objects; the others take a message."""


class ActionSettings(Section):
    """One thing that a rule does: send objects to an archive, tell somebody by a message, or mark the study."""

    to: Name | None = Field(None, description="Name of the destination")
    send: tuple[Sent, ...] = Field((), description="What is sent, to a destination that takes DICOM objects")
    mark: MarkWord | None = Field(
        None, description="Word that the study and the report bear in Orthanc, as a metadata and a label"
    )

    @model_validator(mode="after")
    def _does_one_thing(self) -> ActionSettings:
        if (self.to is None) is (self.mark is None):
            raise ValueError("an action has either `to`, a destination, or `mark`, a word")
        if self.mark is not None and self.send:
            raise ValueError("`mark` goes without `send`")
        return self


class RuleSettings(Section):
    """A condition, and what is done with an answer of which it holds."""

    name: Annotated[str, Field(pattern=r"^[^\s\\][^\\\r\n\t]{0,63}$")] = Field(description="Name, in logs and metrics")
    when: Annotated[str, AfterValidator(check_condition)] = Field(description="Condition in CEL (docs/delivery.md)")
    actions: tuple[ActionSettings, ...] = Field((), description="What is done")
    first: bool = Field(False, description="Its deliveries go before others that wait for the same destination")
    last: bool = Field(False, description="Where it holds, the rules below are not looked at")

    @model_validator(mode="after")
    def _does_something(self) -> RuleSettings:
        if not self.actions and not self.last:
            raise ValueError("a rule needs actions, or last = true to keep the rules below from being looked at")
        return self


class RuleError(ValueError):
    """What is wrong with the rule of this `index`, in view of the other settings."""

    def __init__(self, index: int, message: str) -> None:
        super().__init__(message)
        self.index = index


def check_rules(rules: tuple[RuleSettings, ...], known: ValidationInfo) -> tuple[RuleSettings, ...]:
    """Return rules whose names differ and whose actions fit the destinations. Raises `RuleError` otherwise."""
    if "destinations" not in known.data:  # wrong themselves, and told of
        return rules
    destinations = known.data["destinations"]
    names = [rule.name for rule in rules]
    for index, rule in enumerate(rules):
        if rule.name in names[:index]:
            raise RuleError(index, f"each name is allowed once, and {rule.name!r} is there twice")
        for action in rule.actions:
            _check_action(index, action, destinations)
    return rules


def _check_action(index: int, action: ActionSettings, destinations: dict[str, Section]) -> None:
    if action.to is None:
        return
    if action.to not in destinations:
        there = ", ".join(destinations) or "none"
        raise RuleError(index, f"there is no destination {action.to!r} (there are: {there})")
    takes_objects = isinstance(destinations[action.to], TAKES_OBJECTS)
    if takes_objects and not action.send:
        raise RuleError(index, f'{action.to!r} takes objects: say which, as send = ["sr", "seg"]')
    if not takes_objects and action.send:
        raise RuleError(index, f"{action.to!r} takes a message, no objects: leave `send` out")
    if len(set(action.send)) < len(action.send):
        raise RuleError(index, f"send = {list(action.send)}: each is allowed once")
