# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How a benchmark shows its figures: as a table for people, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import typer
from rich.console import Console
from rich.table import Table


def print_figures(figures: dict[str, Any], table: Callable[[dict[str, Any]], Table], as_json: bool) -> None:
    """Print the figures as JSON, or the `table` of them."""
    if as_json:
        typer.echo(json.dumps(figures, indent=2))
    else:
        Console().print(table(figures))
