# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m deploy.viewer`: fetch the OHIF viewer and lay it out for the service (`make viewer`)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from appliance.errors import ApplianceError
from deploy.viewer.fetch import VERSION, fetch, lay_out


def main(
    folder: Annotated[Path, typer.Option(help="Folder of the viewer")] = Path("var/viewer"),
    cache: Annotated[Path, typer.Option(help="Folder that keeps what was downloaded")] = Path("var/bundle/cache"),
) -> None:
    """Fetch the viewer and lay it out."""
    try:
        lay_out(fetch(cache.absolute()), folder.absolute())
    except (ApplianceError, OSError) as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from error
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(
        f"OHIF {VERSION} in {folder}, {size / 1e6:.0f} MB; restart Orthanc and the service, and the board links to it"
    )


if __name__ == "__main__":
    typer.run(main)
