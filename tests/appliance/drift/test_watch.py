# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A month of simulated studies in a real ledger, compared with a reference as the service does: the metrics, and what
the alert's own expression says of them."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import select
from typer.testing import CliRunner

from appliance import cli
from appliance.clocks import DAY_S, iso
from appliance.drift.features import Row
from appliance.drift.reference import REFERENCE, Provenance, Reference, frozen_path, save
from appliance.drift.watch import DriftWatch, look
from appliance.ledger import tables
from appliance.ledger.ledger import Ledger
from appliance.metrics import Metrics
from appliance.settings import Settings
from tests.appliance.drift.months import MODEL, POSITIVE, answer, answer_of, changed, month
from tests.appliance.ledger.clock import Clock
from tests.appliance.ledger.new_ledger import ledger_in

OF_REFERENCE, OF_MONTH = 300, 250


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The settings of a site whose model has a reference."""
    triton = Settings().triton.model_copy(update={"model_repository": tmp_path / "repository"})
    settings = Settings(state_dir=tmp_path / "state").model_copy(update={"triton": triton})
    settings.state_dir.mkdir()
    save(
        Reference(MODEL["sha256"], Provenance("2026-01-01", "simulated", "a command"), tuple(month(1, OF_REFERENCE))),
        tmp_path / "repository" / "hemorrhage_detector" / "1" / REFERENCE,
    )
    return settings


@pytest.fixture
def clock() -> Clock:
    """The ledger's clock."""
    return Clock()


@pytest.fixture
def ledger(settings: Settings, clock: Clock) -> Iterator[Ledger]:
    """The ledger of that site."""
    opened = ledger_in(settings.state_dir / "ledger.sqlite", clock)
    yield opened
    opened.close()


def take_in(ledger: Ledger, clock: Clock, rows: list[Row], model: dict[str, str] = MODEL) -> None:
    """Answer a month of studies, evenly over its days.

    The first goes all its way through the ledger; the others' jobs are copies of its job. Their way too would take
    36 statements for each study.
    """
    days = [clock.now + 30 * DAY_S * number / len(rows) for number in range(1, len(rows) + 1)]
    clock.now = days[0]
    answer(ledger, int(clock.now), clock.now, answer_of(rows[0], model))
    with ledger._database.writing() as connection:
        first = connection.execute(select(tables.jobs).order_by(tables.jobs.c.id.desc())).mappings().first()
        assert first is not None
        others = [
            {**first, "id": first["id"] + number, "created": days[number], "answer": answer_of(rows[number], model)}
            for number in range(1, len(rows))
        ]
        connection.execute(tables.jobs.insert(), others)
    clock.now = days[-1]


def alerts(settings: Settings, ledger: Ledger) -> set[str]:
    """Return for which features the alert's expression holds, from the metrics as Prometheus would scrape them."""
    metrics = Metrics(dict, dict)
    DriftWatch(settings, ledger, metrics).compare()
    value = _values(metrics.registry)
    return {
        what
        for (name, what), distance in value.items()
        if name == "hemorrhage_drift_distance" and distance > value["hemorrhage_drift_limit", what]
    }


def _values(registry: CollectorRegistry) -> dict[tuple[str, str], float]:
    return {
        (sample.name, sample.labels.get("what", "")): sample.value
        for family in registry.collect()
        for sample in family.samples
    }


SHIFTS: dict[str, tuple[Callable[[Row], Row], set[str]]] = {
    "nothing": (lambda _: {}, set()),
    "a noisier kernel": (
        lambda row: {"noise_hu": 1.5 * float(row["noise_hu"]), "kernel": "H60"},
        {"noise_hu", "kernel"},
    ),
    "more noise": (lambda row: {"noise_hu": 1.5 * float(row["noise_hu"])}, {"noise_hu"}),
    "thinner slices": (lambda _: {"thickness_mm": 1.25, "distance_mm": 1.25}, {"thickness_mm", "distance_mm"}),
    "an offset of 4 HU": (lambda row: {"brain_hu": float(row["brain_hu"]) + 4}, {"brain_hu"}),
    "a smaller offset": (lambda row: {"brain_hu": float(row["brain_hu"]) - 3}, {"brain_hu"}),
    "another vendor": (lambda row: {"scanner": "Beta S"} if row["scanner"] == "ACME One" else {}, {"scanner"}),
    "another voltage": (lambda _: {"kvp": "100"}, {"kvp"}),
    "bleeds three times as large": (
        lambda row: (
            {"iph_ml": 4 * float(row["iph_ml"]), "volume_ml": 4 * float(row["volume_ml"])} if "iph_ml" in row else {}
        ),
        {"volume_ml", "iph_ml"},
    ),
}


@pytest.mark.parametrize("shift", SHIFTS)
def test_a_month_that_is_shifted_in_one_thing_raises_the_alert_for_that_thing_alone(
    shift: str, settings: Settings, ledger: Ledger, clock: Clock
) -> None:
    change, expected = SHIFTS[shift]
    take_in(ledger, clock, changed(month(2, OF_MONTH), change))
    assert alerts(settings, ledger) == expected


def test_a_month_with_twice_as_many_bleeds_raises_it_for_the_answers_and_for_nothing_of_the_images(
    settings: Settings, ledger: Ledger, clock: Clock
) -> None:
    take_in(ledger, clock, month(3, OF_MONTH, positive=2 * POSITIVE))
    assert "present" in (raised := alerts(settings, ledger))
    assert raised <= {"present", "score"}


def test_the_metrics_say_how_many_studies_are_compared_and_forget_features_that_are_no_more(
    settings: Settings, ledger: Ledger, clock: Clock
) -> None:
    metrics = Metrics(dict, dict)
    watch = DriftWatch(settings, ledger, metrics)
    watch.compare()  # an empty ledger
    seen = _values(metrics.registry)
    assert seen["hemorrhage_drift_studies", ""] == 0
    # Which model answers is not known yet: a dashboard must not say that it has no reference.
    assert math.isnan(seen["hemorrhage_drift_reference_studies", ""])
    take_in(ledger, clock, month(2, 60))
    watch.compare()
    seen = _values(metrics.registry)
    assert seen["hemorrhage_drift_studies", ""] == 60
    assert seen["hemorrhage_drift_reference_studies", ""] == OF_REFERENCE
    assert 0 < seen["hemorrhage_drift_distance", "noise_hu"] < seen["hemorrhage_drift_limit", "noise_hu"] < 1
    later = {**MODEL, "sha256": "cd" * 32}
    take_in(ledger, clock, month(4, 60), later)  # a model without a reference answers now
    watch.compare()
    seen = _values(metrics.registry)
    assert seen["hemorrhage_drift_reference_studies", ""] == seen["hemorrhage_drift_studies", ""] == 0
    assert seen["hemorrhage_drift_distance", "noise_hu"] != seen["hemorrhage_drift_distance", "noise_hu"]  # NaN


def test_a_ledger_that_does_not_answer_does_not_end_the_thread(
    settings: Settings, ledger: Ledger, clock: Clock
) -> None:
    take_in(ledger, clock, month(2, 60))
    metrics = Metrics(dict, dict)
    asked: list[int] = []
    true_answers = ledger.views.newest_answers

    def answers(limit: int) -> list[tuple[float, dict[str, Any]]]:
        asked.append(limit)
        if len(asked) == 1:
            raise OSError("away")
        stopping.set()
        return true_answers(limit)

    ledger.views.newest_answers = answers  # type: ignore[method-assign]
    stopping = threading.Event()
    DriftWatch(settings, ledger, metrics).run(stopping, every_s=0)
    assert _values(metrics.registry)["hemorrhage_drift_studies", ""] == 60


def command(settings: Settings, *arguments: str) -> tuple[int, str]:
    """Run `appliance drift` on the site; return its exit status and what it printed."""
    file = settings.state_dir / "appliance.toml"
    repository = settings.triton.model_repository
    file.write_text(f'state_dir = "{settings.state_dir}"\n[triton]\nmodel_repository = "{repository}"\n')
    done = CliRunner().invoke(cli.app, ["drift", *arguments, "--settings", str(file)])
    return done.exit_code, done.output


def test_the_command_says_what_differs_since_when_and_what_to_look_at(
    settings: Settings, ledger: Ledger, clock: Clock
) -> None:
    take_in(ledger, clock, month(2, 150))
    begins = clock.now
    take_in(ledger, clock, changed(month(5, 100), lambda row: {"brain_hu": float(row["brain_hu"]) + 5}))
    code, printed = command(settings, "--json")
    assert code == 0
    document = json.loads(printed)
    assert document["reference"]["command"] == "a command"
    assert document["studies"] == 200
    first = document["features"][0]
    assert (first["what"], first["differs"]) == ("brain_hu", True)
    assert abs(_unix(first["since"]) - begins) < 3 * DAY_S
    assert "calibration" in first["look_at"]
    assert [one["what"] for one in document["features"] if one["differs"]] == ["brain_hu"]
    code, printed = command(settings)
    assert code == 0
    assert "1 of" in printed
    assert iso(begins)[:7] in printed


def _unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_without_a_reference_the_command_says_how_to_make_one(settings: Settings, ledger: Ledger, clock: Clock) -> None:
    code, printed = command(settings)
    assert code == 1
    assert "no study has been answered yet" in printed
    take_in(ledger, clock, month(2, 60), {**MODEL, "sha256": "cd" * 32})
    code, printed = command(settings)
    assert code == 1
    assert "python -m benchmarks.reference" in printed
    assert "appliance drift freeze" in printed


def test_the_site_freezes_its_own_studies_and_is_compared_with_them_from_then_on(
    settings: Settings, ledger: Ledger, clock: Clock
) -> None:
    moved = changed(month(2, 200), lambda row: {"scanner": "Gamma", "kernel": "G1"})
    take_in(ledger, clock, moved)
    assert alerts(settings, ledger) == {"scanner", "kernel"}
    code, printed = command(settings, "freeze", "--studies", "201")
    assert code == 1
    assert "200 of the newest 201" in printed
    assert not frozen_path(settings, MODEL["sha256"]).exists()
    code, printed = command(settings, "freeze")
    assert code == 0
    assert alerts(settings, ledger) == set()
    seen = look(settings, ledger)
    assert seen.reference is not None
    assert seen.reference.rows == tuple(moved)
    assert "200 studies of this site" in seen.reference.provenance.population
    take_in(ledger, clock, changed(month(6, 200), lambda _: {"scanner": "ACME One", "kernel": "G1"}))
    assert alerts(settings, ledger) == {"scanner"}
