# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whether SQLite's file still lies where it was opened.

If the file is removed, renamed or replaced under a running service, the service would keep writing to it without
noticing: its connections hold the file. The next start would find another file, or none, and what was recorded
meanwhile would be lost.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.engine import make_url

from appliance.errors import UnavailableError


class Place:
    """The place of the ledger at a SQLAlchemy URL that was just opened; only for SQLite's files."""

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        is_file = parsed.get_backend_name() == "sqlite" and parsed.database not in (None, "", ":memory:")
        self._path = Path(str(parsed.database)).absolute() if is_file else None
        self._file = self._file_there()

    def check(self) -> None:
        """Raise `UnavailableError` unless the file that was opened is still there."""
        if self._path is not None and self._file_there() != self._file:
            raise UnavailableError(
                f"the ledger's file {self._path} was removed, renamed or replaced while the service works on it: put "
                "back the one it works on, or start the service again with the one that is there"
            )

    def _file_there(self) -> tuple[int, int] | None:
        if self._path is None:
            return None
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino
