# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m deploy.containers build`: the images, and one file of all of them for a site without a network."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from appliance.console import folding_table, out
from appliance.errors import ApplianceError
from deploy.containers.images import BASE, Image, build, import_base, save

app = typer.Typer(add_completion=False, no_args_is_help=True)
_CACHE = Path("var/bundle/cache")


@app.callback()
def _group() -> None:
    """Make the images of the appliance with podman."""


@app.command(name="build")
def _build(
    base: Annotated[str, typer.Option(help="Base image; name it with its digest to get the same one again")] = BASE,
    tree: Annotated[Path | None, typer.Option(help="Make the base of this folder, filled by debootstrap")] = None,
    cache: Annotated[Path, typer.Option(help="Folder that keeps what was downloaded")] = _CACHE,
    folder: Annotated[Path | None, typer.Option("--out", help="Write the images into one file in this folder")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table")] = False,
) -> None:
    """Build the images service, triton and orthanc."""
    try:
        named = base if tree is None else import_base(tree.absolute())
        images = build(named, cache.absolute())
        summary = save(images, folder.absolute()) if folder is not None else {}
    except (ApplianceError, OSError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from error
    if as_json:
        print(json.dumps(summary or {"images": [vars(image) for image in images]}, indent=2))
        return
    _show(images)
    if summary:
        out.print(f"{summary['file']}  {summary['bytes'] / 1e6:.0f} MB", soft_wrap=True)


def _show(images: list[Image]) -> None:
    table = folding_table("image", "MB unpacked", "built in s")
    for image in images:
        table.add_row(image.name, f"{image.size / 1e6:.0f}", f"{image.seconds:.0f}")
    out.print(table)


if __name__ == "__main__":
    app()
