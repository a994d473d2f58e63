# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Certificates of destinations: real ones, of an authority made for the test, on real servers."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from appliance.delivery.destinations.destination import AwayError, Destination
from appliance.delivery.destinations.dicomweb import DicomWeb
from appliance.delivery.destinations.hl7 import Hl7
from appliance.delivery.destinations.mail import Mail
from appliance.delivery.destinations.webhook import Webhook
from appliance.sections.delivery import destination_settings
from tests.appliance.delivery.destinations.stow import Stow
from tests.appliance.delivery.parcels import parcel
from tests.appliance.delivery.receivers import Hook, Listener, MailServer, Receiver
from tests.appliance.stand_in import head_series
from tests.certificates import Authority


class OneFile:
    """An Orthanc that holds one object."""

    def file(self, _instance: str) -> bytes:
        return head_series("1.2.3")[0]


def webhook(port: int, ca: Path | None, host: str) -> Destination:
    url = f"https://{host}:{port}/told"
    return Webhook(destination_settings({"kind": "webhook", "url": url, "ca": ca, "timeout_s": 60}))  # type: ignore[arg-type]


def dicomweb(port: int, ca: Path | None, host: str) -> Destination:
    url = f"https://{host}:{port}/dicom-web"
    settings: Any = destination_settings({"kind": "dicomweb", "url": url, "ca": ca, "timeout_s": 60})
    return DicomWeb(settings, OneFile())  # type: ignore[arg-type]


def hl7(port: int, ca: Path | None, host: str) -> Destination:
    settings: Any = destination_settings({"kind": "hl7", "host": host, "port": port, "tls_ca": ca, "timeout_s": 60})
    return Hl7(settings)


def mail(port: int, ca: Path | None, host: str) -> Destination:
    named = {"sender": "box@hospital.example", "recipients": ["stroke@hospital.example"], "timeout_s": 60}
    settings: Any = destination_settings({"kind": "mail", "host": host, "port": port, "ca": ca, **named})
    return Mail(settings)


@dataclass(frozen=True)
class Site:
    """An authority, a server whose certificate it signed for 127.0.0.1, and what makes the destination."""

    authority: Authority
    port: int
    make: Callable[[int, Path | None, str], Destination]
    came: Callable[[], int]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def context(authority: Authority) -> ssl.SSLContext:
    pair = authority.sign("ris")
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(pair.certificate, pair.key)
    return made


@pytest.fixture(params=["webhook", "dicomweb", "hl7", "mail"])
def site(request: pytest.FixtureRequest, authority: Authority, context: ssl.SSLContext) -> Iterator[Site]:
    if request.param == "mail":
        with MailServer().opened(tls_context=context, require_starttls=True) as server:
            yield Site(authority, server.port, mail, lambda: len(server.came))
        return
    hook, listener, stow = Hook(), Listener(), Stow()
    kinds: dict[str, tuple[Receiver, Callable[..., Destination], Callable[[], int]]] = {
        "webhook": (hook, webhook, lambda: len(hook.came)),
        "dicomweb": (stow, dicomweb, lambda: len(stow.stored)),
        "hl7": (listener, hl7, lambda: len(listener.came)),
    }
    receiver, make, came = kinds[request.param]
    receiver.tls = context
    receiver.open()
    yield Site(authority, receiver.port, make, came)
    receiver.close()


PARCEL = replace(parcel(), instances=("one",))


def test_a_certificate_of_the_sites_authority_is_accepted(site: Site) -> None:
    there = site.make(site.port, site.authority.pair.certificate, "127.0.0.1")
    there.test()
    there.deliver(PARCEL)
    assert site.came() == 1


def test_a_certificate_of_another_authority_is_refused_with_the_setting_that_names_one(
    site: Site, tmp_path: Path
) -> None:
    there = site.make(site.port, Authority(tmp_path, "another").pair.certificate, "127.0.0.1")
    for ask in (there.test, lambda: there.deliver(PARCEL)):
        with pytest.raises(AwayError, match=r"no authority that is known here signed its certificate .*see `ca`"):
            ask()
    assert site.came() == 0


def test_a_certificate_for_another_name_is_refused_with_both(site: Site) -> None:
    there = site.make(site.port, site.authority.pair.certificate, "localhost")  # it is for "ris" and 127.0.0.1
    for ask in (there.test, lambda: there.deliver(PARCEL)):
        with pytest.raises(AwayError, match=r"its certificate is for another name: .*'localhost'"):
            ask()
    assert site.came() == 0


def test_a_listener_that_does_not_speak_tls_is_said_to_be_one(listener: Listener, authority: Authority) -> None:
    named = {"kind": "hl7", "host": "127.0.0.1", "port": listener.port, "tls_ca": authority.pair.certificate}
    settings: Any = destination_settings({**named, "timeout_s": 0.5})
    with pytest.raises(AwayError, match="nothing answers over TLS"):
        Hl7(settings).deliver(PARCEL)
    assert listener.came == []
