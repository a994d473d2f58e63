# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m deploy.local.keep_triton FILE`: Triton as the supervisor runs it.

Before each start it removes what the previous Triton left in shared memory; after the start it has the series
classifier loaded. The program ends when Triton ends, and Triton when the program does, however that ends.
"""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

from appliance.errors import ApplianceError
from appliance.inference.server import TritonServer
from appliance.private import be_private
from appliance.settings_sources import load_settings

_LOOKED_AT_EVERY_S = 0.2


def keep(settings_file: Path) -> int:
    """Run Triton until it ends (1) or SIGTERM comes (0)."""
    be_private()
    stopping = threading.Event()

    def stop(*_: object) -> None:
        if stopping.is_set():
            return
        stopping.set()
        raise SystemExit(0)  # even out of a start that waits for its model

    signal.signal(signal.SIGTERM, stop)
    settings = load_settings(settings_file)
    server = TritonServer(
        settings.triton, settings.state_dir / "triton", site_models=settings.site_models, keeps_log=False
    )
    try:
        server.start(settings.supervisor.starting_s)
        while server.exit_status() is None:
            stopping.wait(_LOOKED_AT_EVERY_S)
        print(f"Triton ended with status {server.exit_status()}", file=sys.stderr)
        return 1
    except ApplianceError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        stopping.set()
        server.stop()


if __name__ == "__main__":
    sys.exit(keep(Path(sys.argv[1])))
