# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL server of the tests' own, which keeps nothing on disk longer than they run."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url

from deploy.local.ports import free_ports


def _server_programs() -> Path | None:
    found = shutil.which("initdb")
    places = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return places[-1] if places and (places[-1] / "initdb").exists() else None


class PostgresServer:
    """A server that can be stopped and started; `remove` it in the end."""

    def __init__(self) -> None:
        programs = _server_programs()
        if programs is None:
            pytest.fail("no PostgreSQL server programs here: run `sh deploy/install-system-packages.sh tests`")
        as_root = os.geteuid() == 0
        user = "postgres" if as_root else getpass.getuser()
        self._programs = programs
        self._prefix = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if as_root else []
        self._folder = Path(tempfile.mkdtemp(prefix="ledger-"))
        if as_root:
            shutil.chown(self._folder, "postgres", "postgres")
        (port,) = free_ports(1)
        self._options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        self._options += " -c dynamic_shared_memory_type=mmap"  # in its folder: it is stopped too fast to tidy up
        self.url = f"postgresql+psycopg://{user}@127.0.0.1:{port}/postgres"
        self._run("initdb", "-U", user, "--auth=trust", "--no-sync")

    def start(self) -> None:
        self._run("pg_ctl", "-w", "-l", self._folder / "log", "-o", self._options, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-m", "immediate", "stop")

    def remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, program: str, *options: str | Path) -> None:
        command = [*self._prefix, self._programs / program, "-D", self._folder / "data", *options]
        subprocess.run([*map(str, command)], check=True, capture_output=True, cwd=self._folder)


def make_database(server: str, name: str, template: str = "template0") -> str:
    """Make a database as `template` is, also where one of that name is in use; return its URL."""
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {template}")
    engine.dispose()
    return make_url(server).set(database=name).render_as_string()
