# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A version of the appliance that migrates the ledger and then never gets ready, which an upgrade must undo."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Final

from deploy.install.bundle import lay_out, pack, write_sums
from tests.install.machine import ROOT

_BREAKS: Final = '''

def upgrade() -> None:
    """Add a table that the version before does not know."""
    op.create_table("not_known_before", sa.Column("id", sa.Integer, primary_key=True))
'''


def broken_bundle(out: Path, cache: Path, version: str) -> Path:
    """Return a bundle of a version that migrates the ledger and then never gets ready."""
    bundle = out / f"hemorrhage-appliance-{version}.bundle"
    with tempfile.TemporaryDirectory(dir=cache) as named:
        folder = Path(named)
        lay_out(ROOT, version, cache, folder)
        break_version(folder / "appliance")
        write_sums(folder)
        pack(folder, bundle)
    return bundle


def break_version(package: Path) -> None:
    """Give the package `appliance` in a folder a migration that no version knows, and a warm-up that fails."""
    migrations = package / "ledger/migrations/versions"
    newest = max(migrations.glob("r[0-9]*.py"))
    before = re.search(r'^revision = "(\w+)"', newest.read_text(), re.MULTILINE)
    assert before is not None
    (migrations / "r9999_not_known_before.py").write_text(
        '"""A table that the version before does not know."""\n\n'
        "import sqlalchemy as sa\nfrom alembic import op\n"
        f'\nrevision = "9999"\ndown_revision = "{before[1]}"\nbranch_labels = None\ndepends_on = None\n{_BREAKS}'
    )
    warm_up = package / "results/warm_up.py"
    warm_up.write_text(warm_up.read_text() + '\n\ndef warm_up(settings):\n    raise RuntimeError("broken")\n')
