# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The kinds of values that settings have: each accepts what can work, and its error says what is allowed."""

from __future__ import annotations

import ipaddress
import re
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

_LABEL: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_LONGEST_HOST: Final = 253
_LONGEST_PATH: Final = 4000
_LONGEST_AE_TITLE: Final = 16
_DATABASES: Final = ("sqlite", "sqlite+pysqlite", "postgresql", "postgresql+psycopg")
_NETLOC: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\[\]:@]+)(?::[0-9]{1,5})?")
_PATH: Final = re.compile(r"(?:/(?!\.\.?(?:/|$))(?:[^%/]|%[0-9A-Fa-f]{2})*)*")


def host_name(text: str) -> str:
    """Return a host name or an IPv4 address. Raises `ValueError` for what is neither."""
    labels = text.split(".")
    is_name = len(text) <= _LONGEST_HOST and all(_LABEL.fullmatch(label) for label in labels)
    if is_name and labels[-1].isdigit():  # then it is not a name
        is_name = _is_address(text, ipaddress.IPv4Address)
    if not is_name:
        raise ValueError("a host name or an IPv4 address is allowed, without scheme and port: 127.0.0.1, pacs.example")
    return text


def loopback_host(text: str) -> str:
    """Return a name or address of this machine itself. Raises `ValueError` for any other."""
    if text != "localhost" and not (
        _is_address(text, ipaddress.IPv4Address) and ipaddress.ip_address(text).is_loopback
    ):
        raise ValueError("127.0.0.1 and localhost are allowed; others reach the service by access.host, with accounts")
    return text


def listening_host(text: str) -> str:
    """Return a host name or an IPv4 address to listen on, or nothing. Raises `ValueError` for what is neither."""
    return host_name(text) if text else text


def known_host(text: str) -> str:
    """Return a host name or an IP address of either kind, in lower case. Raises `ValueError` for what is neither."""
    is_v6 = "%" not in text and _is_address(text, ipaddress.IPv6Address)
    return text.lower() if is_v6 else host_name(text).lower()


def _is_address(text: str, kind: type[ipaddress.IPv4Address] | type[ipaddress.IPv6Address]) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True


def http_url(text: str) -> str:
    """Return the URL of a server. Raises `ValueError` for anything else, and for a URL with a user."""
    allowed = "http://HOST:PORT is allowed, or https://, with a path behind it where a proxy wants one"
    if not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        raise ValueError(allowed)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{allowed} ({error})") from None
    if parts.username is not None:
        raise ValueError(f"{allowed}; user and password have settings of their own")
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or parts.query or parts.fragment:
        raise ValueError(allowed)
    if "?" in text or "#" in text or not _NETLOC.fullmatch(parts.netloc) or not _PATH.fullmatch(parts.path):
        raise ValueError(allowed)
    known_host(parts.hostname)
    return text


def endpoint(text: str) -> str:
    """Return a host and a port, HOST:PORT. Raises `ValueError` for anything else."""
    host, _, port = text.rpartition(":")
    try:
        host_name(host)
        is_port = port.isascii() and port.isdigit() and 1 <= int(port) <= 65535
    except ValueError:
        is_port = False
    if not is_port:
        raise ValueError("HOST:PORT is allowed: 10.0.0.9:8401, triton2.example:8401")
    return text


def ae_title(text: str) -> str:
    """Return a DICOM application entity title (PS3.5, representation AE). Raises `ValueError` for what is none."""
    if not 1 <= len(text) <= _LONGEST_AE_TITLE or not text.isascii() or not text.isprintable() or "\\" in text:
        raise ValueError("1 to 16 printable ASCII characters are allowed, no backslash among them")
    if text != text.strip():
        raise ValueError("1 to 16 characters are allowed, without a space at either end")
    return text


def sender(text: str) -> str:
    """Return who may send by DICOM, as AE title and address, or `*` for everybody. Raises `ValueError` otherwise."""
    title, _, address = text.rpartition("@")
    try:
        if text != "*":
            ae_title(title)
            ipaddress.ip_address(address)
    except ValueError:
        raise ValueError('AE title and IP address are allowed, "CT1@10.0.0.21", or "*" for everybody') from None
    return text


def receiver(text: str) -> str:
    """Return whom Orthanc may send to by DICOM, as NAME=AET@ADDRESS:PORT. Raises `ValueError` otherwise."""
    name, _, rest = text.partition("=")
    title, _, place = rest.rpartition("@")
    try:
        if not _LABEL.fullmatch(name):
            raise ValueError
        ae_title(title)
        endpoint(place)
    except ValueError:
        raise ValueError(
            'a name of letters, digits, _ and -, AE title, address and port are allowed, "PACS=PACS1@10.0.0.5:104"'
        ) from None
    return text


def one_line(text: str) -> str:
    """Return text that holds no control character. Raises `ValueError` otherwise."""
    if not text.isprintable():
        raise ValueError("text in one line is allowed, without control characters")
    return text


def user_name(text: str) -> str:
    """Return a user name for HTTP's basic authentication, or nothing. Raises `ValueError` for one with a colon."""
    if ":" in one_line(text):
        raise ValueError("a name in one line is allowed, without a colon")
    return text


def dicom_text(text: str) -> str:
    """Return text that can stand in a DICOM long string (LO). Raises `ValueError` otherwise."""
    if "\\" in one_line(text):
        raise ValueError("text in one line is allowed, without a backslash, which separates values in DICOM")
    return text


def date(text: str) -> str:
    """Return a date as YYYYMMDD, or nothing. Raises `ValueError` otherwise."""
    try:
        if text and (len(text) != 8 or not datetime.strptime(text, "%Y%m%d")):
            raise ValueError
    except ValueError:
        raise ValueError("a date written YYYYMMDD is allowed, or nothing") from None
    return text


def time_zone(text: str) -> str:
    """Return the name of a time zone, or nothing. Raises `ValueError` for one that is not known."""
    try:
        if text:
            ZoneInfo(text)
    except (ValueError, OSError, ZoneInfoNotFoundError):  # not a name, a folder of names, or not there
        raise ValueError("the IANA name of a time zone is allowed, as Europe/Vienna or UTC, or nothing") from None
    return text


def mail_address(text: str) -> str:
    """Return the address of a mailbox. Raises `ValueError` for what is none."""
    name, _, domain = text.rpartition("@")
    allowed = "an address is allowed: stroke@hospital.example"
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}", name):
        raise ValueError(allowed)
    try:
        host_name(domain)
    except ValueError:
        raise ValueError(allowed) from None
    return text


def path_name(path: object) -> object:
    """Return a value that can be a path. Raises `ValueError` for text that cannot."""
    if isinstance(path, str) and not (path.isprintable() and path.strip() and len(path) <= _LONGEST_PATH):
        raise ValueError("a path in one line is allowed")
    return path


def database_url(text: str) -> str:
    """Return the URL of a database that the ledger can lie in, or nothing. Raises `ValueError` otherwise."""
    if text and not _is_database(text):
        raise ValueError("sqlite:////FILE and postgresql+psycopg://USER:PASSWORD@HOST/DATABASE are allowed, or nothing")
    return text


def _is_database(text: str) -> bool:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        return False
    if not text.isprintable() or url.drivername not in _DATABASES:
        return False
    if url.get_backend_name() == "sqlite":  # in a file: a database in memory is gone with the service
        return bool(url.database) and url.database != ":memory:" and not url.host and not url.query
    hosts = (url.host or "").split(",")
    return (
        bool(url.database) and all(" " not in host for host in hosts) and (url.port is None or 1 <= url.port <= 65535)
    )


Endpoint = Annotated[str, AfterValidator(endpoint)]
HostName = Annotated[str, AfterValidator(host_name)]
LoopbackHost = Annotated[str, AfterValidator(loopback_host)]
ListeningHost = Annotated[str, AfterValidator(listening_host)]
KnownHost = Annotated[str, AfterValidator(known_host)]
HttpUrl = Annotated[str, AfterValidator(http_url)]
AeTitle = Annotated[str, AfterValidator(ae_title)]
Sender = Annotated[str, AfterValidator(sender)]
Receiver = Annotated[str, AfterValidator(receiver)]
UserName = Annotated[str, AfterValidator(user_name)]
DicomText = Annotated[str, Field(max_length=64), AfterValidator(dicom_text)]
Date = Annotated[str, AfterValidator(date)]
TimeZone = Annotated[str, AfterValidator(time_zone)]
MailAddress = Annotated[str, AfterValidator(mail_address)]
PathName = Annotated[Path, BeforeValidator(path_name)]
DatabaseUrl = Annotated[str, AfterValidator(database_url)]
SystemUser = Annotated[str, Field(pattern=r"^([a-z_][a-z0-9_-]{0,30})?$")]
"""A user of this machine, as useradd takes it, or none."""
Secret = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]*$", max_length=200)]
Port = Annotated[int, Field(ge=1, le=65535)]
