# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The commands of the documents that are run as they stand on the machine of `python -m tests.install`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.documents.pages import Block, blocks


@dataclass(frozen=True)
class Documented:
    """A block of a page, found by words in it, that no other block of the page has."""

    page: str
    words: str

    def block(self) -> Block:
        """Return the block. Raises `LookupError` when not exactly one block of the page has the words."""
        found = [block for block in blocks(self.page) if self.words in block.text]
        if len(found) != 1:
            raise LookupError(f"{len(found)} blocks of {self.page} have the words {self.words!r}")
        return found[0]


INSTALL: Final = Documented("docs/install.md", "sh deploy/install.sh --offline hemorrhage")
UPGRADE: Final = Documented("docs/install.md", "deploy/install.sh upgrade --offline")
UNINSTALL: Final = Documented("docs/install.md", "deploy/install.sh uninstall")
BACK_UP: Final = Documented("docs/backup.md", "appliance backup")
COPY_THE_ARCHIVE: Final = Documented("docs/backup.md", "/mnt/backup/\n")
RESTORE: Final = Documented("docs/backup.md", "appliance restore")
WRITE_UNITS: Final = Documented("docs/operations.md", "deploy.install units")
FIREWALL: Final = Documented("docs/network.md", "nft add table")
DROP_IN: Final = Documented("docs/operations.md", "IPAddressAllow")
RUN_ON_THE_MACHINE: Final = (
    INSTALL,
    UPGRADE,
    UNINSTALL,
    BACK_UP,
    COPY_THE_ARCHIVE,
    RESTORE,
    WRITE_UNITS,
    FIREWALL,
    DROP_IN,
)
