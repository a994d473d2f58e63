# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m deploy.install.keep_orthanc FILE`: Orthanc with the configuration FILE, as its systemd unit runs it.

It reads no settings and knows no secret except Orthanc's own password in that file.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Final

import httpx

from appliance.process import Process
from appliance.transport import tls_for
from deploy.install.keep import Kept
from deploy.local.orthanc import PROGRAM

_STARTING_S: Final = 3600.0
"""The unit's own limit is shorter; an index of millions of instances takes a while."""
_STOPPING_S: Final = 20.0
_ANSWER_S: Final = 5.0


def main(configuration: Path) -> int:
    """Keep Orthanc; return the exit status."""
    port = json.loads(configuration.read_text())["HttpPort"]
    # systemd ends the rest of a unit whose keeper has ended, so nothing has to be tied to it here.
    process = Process("Orthanc", configuration.with_name("orthanc.log"), die_with_parent=False, keeps_log=False)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return Kept(
        "Orthanc",
        lambda: process.launch([PROGRAM, configuration], environment | {"TCP_NODELAY": "1"}, configuration.parent),
        lambda: process.stop(_STOPPING_S),
        process.exit_status,
        lambda: fault(f"http://127.0.0.1:{port}/system"),
        _STARTING_S,
    ).keep()


def fault(url: str) -> str:
    """Return why Orthanc gives no answer; a request for a password is one too."""
    try:
        status = httpx.get(url, timeout=_ANSWER_S, verify=tls_for(url), trust_env=False).status_code
    except httpx.HTTPError as error:
        return f"{url} does not answer ({type(error).__name__})"
    return "" if status < httpx.codes.INTERNAL_SERVER_ERROR else f"{url} answers {status}"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
