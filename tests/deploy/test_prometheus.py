# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The shipped Prometheus configuration: Prometheus takes it, its rules do what they say, and what they name exists."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from prometheus_client import Metric

from appliance.ledger.states import JobState
from appliance.metrics import Metrics
from appliance.settings import Settings
from deploy.local.orthanc import OrthancProcess
from deploy.local.ports import with_free_ports
from tests.appliance.stand_in import head_series

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "prometheus"
RULES = FOLDER / "rules" / "hemorrhage.rules.yml"


def promtool(*arguments: str | Path) -> str:
    """Return what promtool says; a fault fails the test with it."""
    done = subprocess.run(
        ["promtool", *arguments], capture_output=True, text=True, cwd=FOLDER, check=False, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_takes_the_configuration_and_the_rules() -> None:
    assert "1 rule files found" in promtool("check", "config", "prometheus.yml")


def test_each_alert_fires_on_what_it_is_for_and_on_nothing_less() -> None:
    assert "SUCCESS" in promtool("test", "rules", "rules/hemorrhage.test.yml")


def test_every_alert_has_a_case_that_fires_it_and_a_page_that_says_what_to_do() -> None:
    alerts = re.findall(r"- alert: (\w+)", RULES.read_text())
    cases = RULES.with_name("hemorrhage.test.yml").read_text()
    fired = set(re.findall(r"alertname: (\w+)\n +eval_time: \w+\n +exp_alerts:\n", cases))
    assert fired == set(alerts)
    pages = re.findall(r"^## (\w+)$", (ROOT / "docs" / "alerts.md").read_text(), re.MULTILINE)
    assert pages == alerts
    assert re.findall(r"handbook: docs/alerts\.md#(\w+)", RULES.read_text()) == [alert.lower() for alert in alerts]


def samples() -> dict[str, set[str]]:
    """Return the names of all samples that the service's metrics may have, with the names of their labels."""
    metrics = Metrics(lambda: dict.fromkeys(JobState, 0), dict)
    metrics.reachable.labels("triton").set(1)
    metrics.know_destination("pacs")
    metrics.rule_errors.labels("a rule")
    found: dict[str, set[str]] = {}
    family: Metric
    for family in metrics.registry.collect():
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def test_every_metric_and_label_that_a_rule_names_exists() -> None:
    known = samples()
    expressions = "\n".join(line for line in RULES.read_text().splitlines() if "hemorrhage_" in line)
    named = re.findall(r"\b(hemorrhage_\w+)(?:\{([^}]*)\})?", expressions)
    assert len(named) > 15
    for name, labels in named:
        assert name in known, name
        assert set(re.findall(r"(\w+)=", labels)) <= known[name], (name, labels)


def test_orthanc_counts_a_job_that_failed_under_the_name_that_the_rules_ask_for(tmp_path: Path) -> None:
    named = set(re.findall(r"\borthanc_\w+", RULES.read_text()))
    assert named == {"orthanc_jobs_failed"}
    settings = with_free_ports(Settings(), tmp_path)
    away = settings.orthanc.model_copy(update={"receivers": ("AWAY=AWAY@127.0.0.1:1",)})
    settings = settings.model_copy(update={"orthanc": away})
    with OrthancProcess(settings, tmp_path / "orthanc", doorbell=False) as orthanc, orthanc.client() as client:
        assert "orthanc_jobs_failed 0 " in client.get("/tools/metrics-prometheus").text
        stored = client.post("/instances", content=head_series("1.2.3")[0]).raise_for_status().json()["ID"]
        sent = client.post("/modalities/AWAY/store", json={"Resources": [stored], "Synchronous": True})
        assert sent.is_server_error
        assert "orthanc_jobs_failed 1 " in client.get("/tools/metrics-prometheus").text


def test_every_state_and_bucket_that_a_rule_names_exists() -> None:
    text = RULES.read_text()
    for states in re.findall(r'state=~?"([\w|]+)"', text):
        assert set(states.split("|")) <= set(JobState)
    edges = {
        sample.labels["le"]
        for family in Metrics(dict, dict).turnaround.collect()
        for sample in family.samples
        if "le" in sample.labels
    }
    assert set(re.findall(r'le="([\d.]+)"', text)) <= edges
