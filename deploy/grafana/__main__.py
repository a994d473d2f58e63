# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m deploy.grafana`: write the dashboard's file, or draw it from a Prometheus."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import httpx
import typer

FILE: Final = Path(__file__).parent / "hemorrhage.json"

app = typer.Typer(help="The Grafana dashboard of the appliance.", no_args_is_help=True)


@app.command()
def write(out: Annotated[Path, typer.Option(help="The file that Grafana imports")] = FILE) -> None:
    """Write the dashboard's file from its panels (deploy/grafana/panels.py)."""
    from deploy.grafana.dashboard import dashboard_json

    out.write_text(dashboard_json())
    typer.echo(out)


@app.command()
def picture(
    out: Annotated[Path, typer.Option(help="The PNG file")] = Path("var/dashboard.png"),
    prometheus: Annotated[str, typer.Option(help="Address of Prometheus")] = "http://127.0.0.1:9090",
    minutes: Annotated[float, typer.Option(min=1, help="How far back it shows")] = 60.0,
    rate_seconds: Annotated[int, typer.Option(min=4, help="The time over which rates are taken")] = 60,
) -> None:
    """Draw the dashboard from what a Prometheus answers to its queries."""
    from deploy.grafana.picture import Source, draw

    title = f"Hemorrhage appliance, {minutes:g} minutes up to {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        draw(Source(prometheus, minutes * 60, rate_seconds), out, title)
    except httpx.HTTPError as error:
        typer.echo(f"Prometheus at {prometheus} did not answer a query of the dashboard: {error}", err=True)
        sys.exit(1)
    typer.echo(out)


if __name__ == "__main__":
    app()
