# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The names of regions of system shared memory, who may read them, and the removal of those whose owner is dead.

Shared memory outlives the process that made it, so each name identifies its owner. Our own regions carry host, process
ID and the start time of that process (IDs are reused); those of Triton's model processes carry the port of their
server, and the model process names its region on its command line.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from appliance.private import close_to_others
from appliance.sections.triton import TritonSettings

SHARED_MEMORY: Final = Path("/dev/shm")
MODEL_PROCESS: Final = "/triton_python_backend_stub"
SETTLED_S: Final = 60.0
"""A region as young as this may belong to a model process that is just starting, s."""

_PROC: Final = Path("/proc")
_SERVER: Final = 5  # where a model process's arguments have its server's process id
_NUMBERS: Final = itertools.count()
_KEEP_SIZE_AND_PUNCH_HOLE: Final = 0x01 | 0x02  # linux/falloc.h


def stem() -> str:
    """Return the prefix of the names of this machine's own regions."""
    return f"hemorrhage-{socket.gethostname()}-"


def new_name() -> str:
    """Return a name for a region of this process."""
    return f"{stem()}{os.getpid()}-{_start_ticks(os.getpid())}-{next(_NUMBERS)}"


def is_of_the_dead(name: str) -> bool:
    """Return whether the process that made the region with this name has ended."""
    if not name.startswith(stem()):
        return False
    process, *rest = name.removeprefix(stem()).split("-")
    if not process.isdigit():
        return False
    started = _start_ticks(int(process))
    if started is None:
        return True
    # Names of older versions do not include the start time of their process.
    return len(rest) == 2 and rest[0].isdigit() and int(rest[0]) != started


def remove_regions_of_the_dead(folder: Path = SHARED_MEMORY) -> list[str]:
    """Remove this machine's own regions whose processes have ended, and return their names."""
    dead = [path for path in folder.glob(f"{stem()}*") if is_of_the_dead(path.name)]
    for path in dead:
        with suppress(OSError):  # another user's
            path.unlink(missing_ok=True)
    return [path.name for path in dead]


def region_prefix(settings: TritonSettings) -> str:
    """Return the prefix of the names of a server's regions: no two running servers share a port."""
    return f"triton_python_backend_shm_region_{settings.grpc_port}_"


def close_regions(settings: TritonSettings) -> None:
    """Remove the rights of other users from the regions of this user's server; call it after each load of a model.

    Triton gives all users all rights to them, whatever its umask.
    """
    close_to_others(SHARED_MEMORY.glob(f"{region_prefix(settings)}*"))


def model_processes(prefix: str) -> Iterator[tuple[int, int]]:
    """Yield the process id of each model process with such a region, and that of its server.

    Its command line is: stub, model file, region, initial size, growth, the server's process id, and more.
    """
    for process, arguments in _model_processes(prefix):
        yield process, int(arguments[_SERVER])


def processes_of_model(prefix: str, model: str) -> list[int]:
    """Return the process ids of the model processes of one model of a server, by its name in Triton."""
    return [process for process, arguments in _model_processes(prefix) if f"/{model}/" in arguments[1]]


def _model_processes(prefix: str) -> Iterator[tuple[int, list[str]]]:
    for path in _PROC.glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_text(errors="replace").split("\0")
        except OSError:  # it ended meanwhile
            continue
        is_whole = len(arguments) > _SERVER  # while a process begins or ends, it may have less than a command line
        if is_whole and arguments[0].endswith(MODEL_PROCESS) and arguments[2].startswith(prefix):
            yield int(path.parent.name), arguments


def remove_stale_regions(prefix: str, folder: Path = SHARED_MEMORY, settled_s: float = 0.0) -> list[Path]:
    """Remove the regions in `folder` whose name begins with `prefix` and that no running process maps; return them.

    Those that changed less than `settled_s` ago are left.
    """
    regions = [path for path in folder.glob(f"{prefix}*") if path.is_file() and _is_settled(path, settled_s)]
    if not regions:
        return []
    mapped = set(_mapped_files(folder))
    stale = [path for path in regions if str(path) not in mapped]
    for path in stale:
        with suppress(PermissionError):
            path.unlink(missing_ok=True)
    return stale


def free_regions_of_dead_models(prefix: str, folder: Path = SHARED_MEMORY, settled_s: float = SETTLED_S) -> list[Path]:
    """Free the memory of model processes that died while their server still runs; return the regions.

    Triton's Python backend starts another model process and keeps the region of the dead one mapped until the server
    ends. The file's memory is freed under that mapping, which nobody uses any more; then its name is removed.
    """
    servers = {server for _, server in model_processes(prefix)}
    alive = {arguments[2] for _, arguments in _model_processes(prefix)}
    freed = []
    for path in folder.glob(f"{prefix}*"):
        if path.name in alive or not _is_settled(path, settled_s):
            continue
        # Only what a server holds whose model processes we see: another one's may live where we cannot look.
        if _processes_that_map(path) <= servers and servers:
            with suppress(OSError):
                _give_back(path)
                path.unlink(missing_ok=True)
                freed.append(path)
    return freed


def _give_back(path: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        if size and libc.fallocate(descriptor, _KEEP_SIZE_AND_PUNCH_HOLE, 0, size):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    finally:
        os.close(descriptor)


def _is_settled(path: Path, settled_s: float) -> bool:
    try:
        return time.time() - path.stat().st_ctime >= settled_s
    except OSError:
        return False


def _start_ticks(process: int) -> int | None:
    """Return when a process started, in clock ticks since the boot, None when it has ended (a zombie has)."""
    try:
        text = (_PROC / str(process) / "stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before it may contain anything
    return None if fields[0] in "ZX" else int(fields[19])


def _processes_that_map(path: Path) -> set[int]:
    return {process for process, file in _mappings(path.parent) if file == str(path)}


def _mapped_files(folder: Path) -> Iterator[str]:
    """Yield the files under `folder` that the processes we may look at have mapped."""
    for _, file in _mappings(folder):
        yield file


def _mappings(folder: Path) -> Iterator[tuple[int, str]]:
    for maps in _PROC.glob("[0-9]*/maps"):
        try:
            lines = maps.read_text(errors="replace").splitlines()
        except OSError:  # it ended meanwhile, or belongs to someone else, whose regions we could not remove either
            continue
        for line in lines:
            path = line.partition("/")[1] + line.partition("/")[2]
            if path.startswith(f"{folder}/"):
                yield int(maps.parent.name), path
