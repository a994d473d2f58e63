# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.drift.compare import LEAST_STUDIES, compare
from appliance.drift.features import ABSENT, FEATURES, PRESENT, Row, Side
from appliance.drift.reference import (
    REFERENCE,
    NoReferenceError,
    Provenance,
    Reference,
    frozen_path,
    load,
    reference_of,
    save,
)
from appliance.models.shelf import Shelf
from appliance.settings import Settings
from tests.appliance.drift.months import month

SHA256 = "ab" * 32
MADE = Provenance("2026-01-01T00:00:00.000Z", "simulated", "a command")


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A reference in a file."""
    path = tmp_path / "folder" / REFERENCE
    save(Reference(SHA256, MADE, tuple(month(1, 60))), path)
    return path


def test_a_reference_comes_back_as_it_was_kept(kept: Path) -> None:
    assert load(kept, SHA256) == Reference(SHA256, MADE, tuple(month(1, 60)))
    assert [path.name for path in kept.parent.iterdir()] == [REFERENCE]


SPOILED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a list": lambda found: [found],
    "another format": lambda found: found | {"format": 2},
    "no rows": lambda found: {name: value for name, value in found.items() if name != "rows"},
    "too few rows": lambda found: found | {"rows": found["rows"][:49]},
    "a word for a number": lambda found: found | {"rows": [{"brain_hu": "30"}, *found["rows"]]},
    "a number for a word": lambda found: found | {"rows": [{"kvp": 120}, *found["rows"]]},
    "not a number": lambda found: found | {"rows": [{"brain_hu": float("nan")}, *found["rows"]]},
    "a list for a row": lambda found: found | {"rows": [[], *found["rows"]]},
    "no provenance": lambda found: found | {"provenance": {}},
}


@pytest.mark.parametrize("spoil", SPOILED)
def test_what_is_no_reference_is_refused_with_the_file_and_what_to_do(kept: Path, spoil: str) -> None:
    kept.write_text(json.dumps(SPOILED[spoil](json.loads(kept.read_text()))))
    with pytest.raises(NoReferenceError, match=r"reference\.json is no reference: .+benchmarks\.reference"):
        load(kept, SHA256)


def test_a_file_that_is_cut_off_or_of_another_model_is_refused(kept: Path) -> None:
    with pytest.raises(NoReferenceError, match="it is of model abababababab…, and cdcdcdcdcdcd… answers"):
        load(kept, "cd" * 32)
    kept.write_text(kept.read_text()[:500])
    with pytest.raises(NoReferenceError, match="cannot be read"):
        load(kept, SHA256)


def test_the_sites_own_reference_goes_before_the_models_and_each_model_has_its_own(tmp_path: Path) -> None:
    triton = Settings().triton.model_copy(update={"model_repository": tmp_path / "repository"})
    settings = Settings(state_dir=tmp_path).model_copy(update={"triton": triton})
    shipped, of_site = "ab" * 32, "cd" * 32
    detector = tmp_path / "repository" / "hemorrhage_detector" / "1" / REFERENCE
    save(Reference(shipped, MADE, tuple(month(1, 60))), detector)
    save(
        Reference(of_site, MADE, tuple(month(2, 60))),
        settings.site_models / "hemorrhage_detector_2" / "2" / REFERENCE,
    )
    assert reference_of(settings, shipped).rows == tuple(month(1, 60))
    assert reference_of(settings, of_site).rows == tuple(month(2, 60))
    with pytest.raises(NoReferenceError, match="has no reference"):
        reference_of(settings, "ef" * 32)
    save(Reference(of_site, MADE, tuple(month(3, 60))), frozen_path(settings, of_site))
    assert reference_of(settings, of_site).rows == tuple(month(3, 60))
    assert reference_of(settings, shipped).rows == tuple(month(1, 60))
    frozen_path(settings, of_site).write_text("{")
    with pytest.raises(NoReferenceError, match="cannot be read"):  # rather than another one without a word
        reference_of(settings, of_site)


def test_the_shipped_model_has_a_reference_with_every_feature_and_its_provenance() -> None:
    settings = Settings()
    reference = reference_of(settings, Shelf(settings).find_shipped().facts.sha256)
    assert len(reference.rows) >= LEAST_STUDIES
    for feature in FEATURES:
        if feature.side is Side.INPUT or feature.name in ("present", "score"):
            assert sum(feature.name in row for row in reference.rows) >= 0.95 * len(reference.rows), feature.name
    assert {row["present"] for row in reference.rows} == {PRESENT, ABSENT}
    assert "simulated" in reference.provenance.population
    assert reference.provenance.command.startswith("python -m benchmarks.reference --studies ")
    itself = compare(reference.rows, reference.rows)
    assert itself
    assert not any(one.differs for one in itself)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda _: {}, set()),
        (lambda row: {"brain_hu": row["brain_hu"] + 4}, {"brain_hu"}),
        (lambda row: {"noise_hu": 1.4 * row["noise_hu"]}, {"noise_hu"}),
        (lambda _: {"thickness_mm": 1.0, "distance_mm": 1.0}, {"thickness_mm", "distance_mm"}),
        (lambda row: {"kernel": "Hr60"} if row["kernel"] == "FK26" else {}, {"kernel"}),
    ],
)
def test_a_month_of_studies_like_the_shipped_ones_is_quiet_until_one_thing_is_shifted(
    change: Callable[[dict[str, Any]], Row], expected: set[str]
) -> None:
    settings = Settings()
    rows = reference_of(settings, Shelf(settings).find_shipped().facts.sha256).rows
    drawn = [rows[index] for index in np.random.default_rng(3).integers(len(rows), size=200)]
    seen = compare(rows, [{**row, **change(row)} for row in drawn])
    assert {one.feature.name for one in seen if one.differs} == expected
