# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_all_threads_of_the_service_allocate_from_one_arena(tmp_path: Path) -> None:
    program = (
        "import ctypes, sys, threading\n"
        "from appliance import serve\n"
        "from appliance.errors import ApplianceError\n"
        "from appliance.settings import Settings\n"
        "def no_service(settings, room):\n"
        "    raise ApplianceError('only what serve does before it makes the service')\n"
        "serve.Service = no_service\n"
        "try:\n"
        "    serve.serve(Settings(state_dir=sys.argv[2]))\n"
        "except ApplianceError:\n"
        "    pass\n"
        "kept = []\n"
        "threads = [threading.Thread(target=lambda: kept.append(bytearray(50_000))) for _ in range(4)]\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()\n"
        "libc = ctypes.CDLL(None)\n"
        "libc.fopen.restype = ctypes.c_void_p\n"
        "file = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b'w'))\n"
        "libc.malloc_info(0, file)\n"
        "libc.fclose(file)\n"
    )
    written = tmp_path / "malloc.xml"
    subprocess.run(
        [sys.executable, "-c", program, written, tmp_path], cwd=Path(__file__).parents[2], check=True, timeout=120
    )
    assert written.read_text().count("<heap nr=") == 1
