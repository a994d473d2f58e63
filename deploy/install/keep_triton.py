# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m deploy.install.keep_triton`: Triton as its systemd unit runs it."""

from __future__ import annotations

import sys

from appliance.errors import ApplianceError
from appliance.inference.server import TritonServer
from appliance.settings import Settings
from appliance.settings_sources import load_settings
from deploy.install.keep import Kept
from deploy.local.answering import questions


def keep(settings: Settings, kind: type[TritonServer] = TritonServer) -> int:
    """Keep a server of one kind; return the exit status."""
    # What started the keeper ends the rest of a unit or container with it, so nothing has to be tied to it here.
    server = kind(
        settings.triton,
        settings.state_dir / "triton",
        site_models=settings.site_models,
        die_with_parent=False,
        keeps_log=False,
    )
    return Kept(
        "Triton",
        lambda: server.start(settings.supervisor.starting_s),
        server.stop,
        server.exit_status,
        questions(settings)["triton"],
        settings.supervisor.starting_s,
    ).keep()


def main() -> int:
    """Keep Triton; return the exit status."""
    try:
        settings = load_settings()
    except ApplianceError as error:
        print(error, file=sys.stderr)
        return 1
    return keep(settings)


if __name__ == "__main__":
    sys.exit(main())
