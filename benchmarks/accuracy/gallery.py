# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Pages of misread slices, by cause: plain, and beside it with truth (green) and finding (pink) outlined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from appliance.reading.contract import HemorrhageType

MOST: Final = 4
"""Slices of one cause on a page."""
_CAUSES_A_PAGE: Final = 4


def draw(folder: Path, errors: Sequence[Mapping[str, Any]], pictures: Mapping[str, Path]) -> list[tuple[str, str]]:
    """Draw the pages into `folder`; return file names with what is on each.

    Parameters
    ----------
    errors: of `figures.errors`, the most telling of a cause first.
    pictures: by the study's name, where its slice is; a study without one is left out.
    """
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for error in errors:
        if error["study"] in pictures:
            groups.setdefault((error["kind"], error["cause"]), []).append(error)
    keys = sorted(groups, key=lambda key: (key[0], -len(groups[key])))
    pages = []
    for number, start in enumerate(range(0, len(keys), _CAUSES_A_PAGE), 1):
        shown = keys[start : start + _CAUSES_A_PAGE]
        name = f"errors-{number}.png"
        _page(folder / name, {key: groups[key] for key in shown}, pictures)
        pages.append((name, "; ".join(f"{kind}: {cause} ({len(groups[kind, cause])})" for kind, cause in shown)))
    return pages


def _page(
    path: Path, groups: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]], pictures: Mapping[str, Path]
) -> None:
    """Draw one page: a row for each cause."""
    from matplotlib.figure import Figure
    from PIL import Image

    columns = max(2, *(min(MOST, len(group)) for group in groups.values()))
    figure = Figure(figsize=(5.2 * columns, 3.2 * len(groups) + 0.6), layout="constrained")
    figure.suptitle("Misread slices (simulated scans), window 0–80 HU\ngreen: blood in truth, pink: found")
    axes = figure.subplots(len(groups), columns, squeeze=False)
    for row, ((kind, cause), group) in zip(axes, groups.items(), strict=True):
        for plot in row:
            plot.axis("off")
        for plot, error in zip(row, group, strict=False):
            plot.imshow(np.asarray(Image.open(pictures[error["study"]])), interpolation="nearest")
            called = HemorrhageType(error["type"]).display
            what = f"{called} {error['volume_ml']:.2g} mL, score {error['score']:.3f}, {error['population']}"
            plot.set_title(f"{kind}: {cause} (n = {len(group)})\n{what}", fontsize=8)
    figure.savefig(path, dpi=90)
