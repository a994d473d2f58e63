# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The reference of a model: rows of studies on which it is known to do what it should, with where they come from.

It lies beside `model.onnx` (simulated studies, `python -m benchmarks.reference`) and travels with it. A site that has
satisfied itself that the model does well on its own studies freezes these as its reference (`appliance drift freeze`);
that one lies beside the site's models, for one model by its sha256, and goes before the model's own.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from appliance.drift.features import FEATURES, Row
from appliance.errors import ApplianceError
from appliance.reading.contract import DETECTOR
from appliance.settings import Settings

REFERENCE: Final = "reference.json"
"""Its name beside `model.onnx`."""
FROZEN: Final = "references"
"""The folder of the site's own references."""
FORMAT: Final = 1
LEAST_STUDIES: Final = 50
"""Fewer studies tell too little, on either side."""
HOW_TO_MAKE: Final = (
    "make one with `python -m benchmarks.reference` in a checkout, or take the site's own studies with "
    "`appliance drift freeze`"
)


class NoReferenceError(ApplianceError):
    """There is no reference that can be used, or it cannot be kept."""


@dataclass(frozen=True)
class Provenance:
    """Where a reference comes from: when it was made (ISO 8601, UTC), of which studies, by which command."""

    made: str
    population: str
    command: str


@dataclass(frozen=True)
class Reference:
    """Rows of studies that one model (by the sha256 of its ONNX file) read."""

    sha256: str
    provenance: Provenance
    rows: tuple[Row, ...]


def save(reference: Reference, path: Path) -> None:
    """Write a reference, whole or not at all. Raises `OSError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = ",\n  ".join(json.dumps(row, sort_keys=True) for row in reference.rows)
    head = {"format": FORMAT, "sha256": reference.sha256, "provenance": asdict(reference.provenance)}
    text = json.dumps(head, indent=1).removesuffix("\n}") + f',\n "rows": [\n  {rows}\n ]\n}}\n'
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        aside.write_text(text)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def frozen_path(settings: Settings, sha256: str) -> Path:
    """Return where the reference of a site for a model lies: with the site's models, so that a backup has it."""
    return settings.site_models / FROZEN / f"{sha256}.json"


def reference_of(settings: Settings, sha256: str) -> Reference:
    """Return the reference of a model, the site's own if it has frozen one. Raises `NoReferenceError`."""
    frozen = frozen_path(settings, sha256)
    if frozen.exists():
        return load(frozen, sha256)
    shipped = settings.triton.model_repository.glob(f"{DETECTOR}/*/{REFERENCE}")
    of_site = settings.site_models.glob(f"{DETECTOR}_*/*/{REFERENCE}")
    for path in (*sorted(shipped), *sorted(of_site)):
        if model_of(path) == sha256:
            return load(path, sha256)
    raise NoReferenceError(f"the model {sha256[:12]}… has no reference; {HOW_TO_MAKE}")


def model_of(path: Path) -> str:
    """Return the sha256 of the model that a reference says it is of; empty when it says none."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return ""
    return str(found.get("sha256", "")) if isinstance(found, dict) else ""


def load(path: Path, sha256: str) -> Reference:
    """Return the reference in a file. Raises `NoReferenceError` when it cannot be read, or is another model's."""
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise NoReferenceError(f"{path} is not there; {HOW_TO_MAKE}") from error
    except (OSError, ValueError) as error:
        raise NoReferenceError(f"{path} cannot be read ({error}); {HOW_TO_MAKE}") from error
    try:
        return _checked(found, sha256)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise NoReferenceError(f"{path} is no reference: {error}; {HOW_TO_MAKE}") from error


def _checked(found: Any, sha256: str) -> Reference:
    if found["format"] != FORMAT:
        raise ValueError(f"its format is {found['format']}, and {FORMAT} is known")
    if found["sha256"] != sha256:
        raise ValueError(f"it is of model {str(found['sha256'])[:12]}…, and {sha256[:12]}… answers")
    rows = []
    numbers = {feature.name: feature.is_number for feature in FEATURES}
    for row in found["rows"]:
        for name, value in row.items():
            right = isinstance(value, int | float if numbers.get(name, not isinstance(value, str)) else str)
            if not right or isinstance(value, bool) or value != value:  # NaN is no value
                raise ValueError(f"{name} is {value!r}")
        rows.append(dict(row))
    if len(rows) < LEAST_STUDIES:
        raise ValueError(f"it has {len(rows)} studies, and {LEAST_STUDIES} are the least")
    said = found["provenance"]
    return Reference(
        str(found["sha256"]), Provenance(*(str(said[key]) for key in ("made", "population", "command"))), tuple(rows)
    )
