# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What the doctor says of destinations."""

from __future__ import annotations

from pathlib import Path

from appliance.doctor.destinations import check_destinations
from deploy.local.ports import free_ports
from tests.appliance.delivery.receivers import Hook, Listener
from tests.appliance.delivery.site import Site


def test_each_destination_is_tried_and_nothing_is_sent(tmp_path: Path) -> None:
    hook, listener = Hook(), Listener()
    hook.open()
    listener.open()
    (nobody,) = free_ports(1)
    site = Site(tmp_path)
    destinations = {
        "pacs": {"kind": "orthanc-modality", "modality": "PACS"},
        "unknown": {"kind": "orthanc-modality", "modality": "NOBODY"},
        "peer": {"kind": "orthanc-peer", "peer": "PEER"},
        "hook": {"kind": "webhook", "url": hook.url},
        "ris": {"kind": "hl7", "host": "127.0.0.1", "port": listener.port},
        "mail": {
            "kind": "mail",
            "host": "127.0.0.1",
            "port": nobody,
            "sender": "a@b.example",
            "recipients": ["c@d.example"],
        },
        "web": {"kind": "dicomweb", "url": f"http://127.0.0.1:{nobody}/dicom-web"},
    }
    settings = site.with_rules(destinations, [])
    with site.running():
        checks = {check.name: check for check in check_destinations(settings)}
    states = {name.removeprefix("destination "): check.state for name, check in checks.items()}
    assert states == {
        "pacs": "ok",
        "unknown": "fail",
        "peer": "ok",
        "hook": "ok",
        "ris": "ok",
        "mail": "fail",
        "web": "fail",
    }
    assert "Orthanc does not know NOBODY" in checks["destination unknown"].what
    assert "destinations.mail" in checks["destination mail"].remedy
    assert hook.came == []
    assert listener.came == []
    with_pacs_away = {check.name: check for check in check_destinations(settings)}
    assert with_pacs_away["destination pacs"].state == "fail"
    hook.close()
    listener.close()
