# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Proves what the manifests promise, rendered by kubectl: there is no cluster here."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from prometheus_client import CollectorRegistry

from appliance import __version__
from appliance.inference.client import endpoints
from appliance.metrics import Metrics
from appliance.settings_sources import SECRETS, load_settings
from deploy.containers.configure import TOKEN, container_configuration

FOLDER = Path(__file__).resolve().parents[3] / "deploy/kubernetes"
CONTAINERS = Path(__file__).resolve().parents[3] / "deploy/containers"
OVERLAYS = ("cpu", "nvidia")
VERSIONS = ("1.28", "1.32", "1.36")
"""The oldest that the manifests are for, and newer ones."""


@pytest.fixture(scope="module", params=OVERLAYS)
def manifests(request) -> list[dict[str, Any]]:
    return render(request.param)


def render(overlay: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        ["kubectl", "kustomize", str(FOLDER / "overlays" / overlay)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def of_kind(manifests, kind):
    return {one["metadata"]["name"]: one for one in manifests if one["kind"] == kind}


def pods(manifests):
    return {
        name: one["spec"]["template"]
        for kind in ("Deployment", "StatefulSet")
        for name, one in of_kind(manifests, kind).items()
    }


def containers(manifests):
    for name, pod in pods(manifests).items():
        for container in (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]):
            yield f"{name}/{container['name']}", pod["spec"], container


def settings_files(manifests) -> dict[str, str]:
    (settings,) = of_kind(manifests, "ConfigMap").values()
    return settings["data"]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_is_what_kubernetes_schemas_allow(manifests, version):
    for one in manifests:
        kubernetes_validate.validate(one, version, strict=True)


def test_the_schemas_refuse_a_misspelt_field(manifests):
    broken = next(iter(of_kind(manifests, "Deployment").values()))
    broken = {**broken, "spec": {**broken["spec"], "replicaz": 2}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSIONS[0], strict=True)


def test_everything_is_in_one_namespace_that_admits_restricted_pods_alone(manifests):
    (namespace,) = of_kind(manifests, "Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for one in manifests:
        if one["kind"] != "Namespace":
            assert one["metadata"]["namespace"] == namespace["metadata"]["name"], one["metadata"]["name"]


def test_every_container_is_within_the_restricted_pod_security_standard(manifests):
    for name, pod, container in containers(manifests):
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["runAsUser"] > 10_000, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        assert pod["automountServiceAccountToken"] is False, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod), name
        for volume in pod["volumes"]:
            assert set(volume) - {"name"} <= {"configMap", "secret", "emptyDir"}, name


def test_every_image_is_of_this_version_or_a_digest_and_from_the_sites_registry(manifests):
    for name, _, container in containers(manifests):
        assert re.fullmatch(
            rf"registry\.example/hemorrhage-[a-z-]+(:{re.escape(__version__)}|@sha256:[0-9a-f]{{64}})",
            container["image"],
        ), name


def test_every_container_asks_for_what_it_needs_and_has_a_limit_of_memory(manifests):
    for name, _, container in containers(manifests):
        assert container["resources"]["requests"]["cpu"], name
        assert container["resources"]["requests"]["memory"], name
        assert container["resources"]["limits"]["memory"], name


def test_every_container_that_stays_is_asked_whether_it_lives_or_starts_its_server_again_itself(manifests):
    for pod in pods(manifests).values():
        for container in pod["spec"]["containers"]:
            probes = {"startupProbe", "livenessProbe"} & set(container)
            if "--again" in container.get("args", ()):
                assert not probes, container["name"]
                assert "--signs" in container["args"], container["name"]
            else:
                assert len(probes) == 2, container["name"]


def test_every_mount_has_its_volume_and_every_volume_is_mounted(manifests):
    for name, pod in pods(manifests).items():
        claimed = {
            claim["metadata"]["name"]
            for one in of_kind(manifests, "StatefulSet").values()
            if one["metadata"]["name"] == name
            for claim in one["spec"].get("volumeClaimTemplates", ())
        }
        there = {volume["name"] for volume in pod["spec"]["volumes"]} | claimed
        mounted = {
            mount["name"]
            for container in (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"])
            for mount in container["volumeMounts"]
        }
        assert there == mounted, name


def test_triton_and_the_service_share_memory_and_the_readers_spread(manifests):
    reader = pods(manifests)["hemorrhage-reader"]["spec"]
    for container in reader["containers"]:
        assert {"name": "shared-memory", "mountPath": "/dev/shm"} in container["volumeMounts"]
    (shared,) = (volume for volume in reader["volumes"] if volume["name"] == "shared-memory")
    assert shared["emptyDir"]["medium"] == "Memory"
    keys = {spread["topologyKey"] for spread in reader["topologySpreadConstraints"]}
    assert keys == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}


def test_selectors_of_services_budgets_and_policies_find_pods(manifests):
    labels = [pod["metadata"]["labels"] for pod in pods(manifests).values()]

    def finds(selector):
        return any(selector.items() <= found.items() for found in labels)

    for name, service in of_kind(manifests, "Service").items():
        assert finds(service["spec"]["selector"]), name
        ports = {
            port["name"]
            for pod in pods(manifests).values()
            if service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
            for container in pod["spec"]["containers"]
            for port in container.get("ports", ())
        }
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports, name
    for name, budget in of_kind(manifests, "PodDisruptionBudget").items():
        assert finds(budget["spec"]["selector"]["matchLabels"]), name
    for name, policy in of_kind(manifests, "NetworkPolicy").items():
        assert finds(policy["spec"]["podSelector"].get("matchLabels", {})), name


def test_nothing_is_let_in_or_out_by_default(manifests):
    nothing = of_kind(manifests, "NetworkPolicy")["hemorrhage-nothing"]["spec"]
    assert nothing == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_a_budget_leaves_a_reader_and_room_to_drain_a_node(manifests):
    budget = of_kind(manifests, "PodDisruptionBudget")["hemorrhage-reader"]["spec"]["minAvailable"]
    scaler = of_kind(manifests, "HorizontalPodAutoscaler")["hemorrhage-reader"]["spec"]
    assert 1 <= budget < scaler["minReplicas"] < scaler["maxReplicas"]
    assert scaler["scaleTargetRef"]["name"] in of_kind(manifests, "Deployment")
    assert "replicas" not in of_kind(manifests, "Deployment")["hemorrhage-reader"]["spec"]


def known_metrics() -> set[str]:
    registry: CollectorRegistry = Metrics(dict, dict).registry
    return {sample.name for family in registry.collect() for sample in family.samples}


def test_the_metric_of_the_autoscaler_is_one_that_the_service_tells(manifests):
    scaler = of_kind(manifests, "HorizontalPodAutoscaler")["hemorrhage-reader"]["spec"]
    wanted = {metric["external"]["metric"]["name"] for metric in scaler["metrics"]}
    rules = yaml.safe_load((FOLDER / "monitoring/prometheus-adapter.yaml").read_text())["rules"]["external"]
    assert wanted == {rule["name"]["as"] for rule in rules}
    for rule in rules:
        assert rule["seriesQuery"] in known_metrics()
        assert set(re.findall(r"hemorrhage_\w+", rule["metricsQuery"])) <= known_metrics()


def test_prometheus_takes_what_it_is_to_read_and_asks_every_reader(manifests):
    (job,) = yaml.safe_load((FOLDER / "monitoring/prometheus.yml").read_text())["scrape_configs"]
    (asked,) = job["dns_sd_configs"]
    readers = of_kind(manifests, "Service")["hemorrhage-readers"]
    assert asked["names"] == [f"hemorrhage-readers.{readers['metadata']['namespace']}.svc.cluster.local"]
    assert readers["spec"]["clusterIP"] == "None"
    assert asked["port"] == readers["spec"]["ports"][0]["port"]
    done = subprocess.run(
        ["promtool", "check", "config", "--syntax-only", str(FOLDER / "monitoring/prometheus.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_settings_load_in_a_reader_and_secrets_lie_where_they_are_looked_for(manifests, tmp_path, monkeypatch):
    (tmp_path / "appliance.toml").write_text(settings_files(manifests)["appliance.toml"])
    settings = load_settings(tmp_path / "appliance.toml")
    reader = pods(manifests)["hemorrhage-reader"]["spec"]
    (service,) = (container for container in reader["containers"] if container["name"] == "service")
    mounts = {mount["mountPath"] for mount in service["volumeMounts"]}
    for file in (settings.access.certificate, settings.access.key, settings.access.accounts):
        assert str(file.parent) in mounts
    assert str(settings.state_dir) in mounts
    (secrets,) = (volume["secret"] for volume in reader["volumes"] if volume["name"] == "secrets")
    assert {item["path"] for item in secrets["items"]} == {f"{section}.{name}" for section, name in SECRETS}
    services = of_kind(manifests, "Service")
    assert (
        settings.orthanc.url
        == f"http://hemorrhage-orthanc:{services['hemorrhage-orthanc']['spec']['ports'][0]['port']}"
    )
    assert settings.access.port == services["hemorrhage-reader"]["spec"]["ports"][0]["port"]
    assert {"hemorrhage-orthanc", "hemorrhage-reader"} <= set(settings.service.trusted_hosts)


def test_orthanc_is_reached_by_the_readers_with_a_password_and_rings_them_with_an_account(
    manifests, tmp_path, monkeypatch
):
    for name, text in settings_files(manifests).items():
        (tmp_path / name).write_text(text)
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name, text in (("orthanc.username", "appliance"), ("orthanc.password", "word"), (TOKEN, "token")):
        (secrets / name).write_text(text)
    monkeypatch.setenv("APPLIANCE_SECRETS", str(secrets))
    made = container_configuration(tmp_path / "appliance.toml", secrets)
    assert made["RemoteAccessAllowed"] is True
    assert made["AuthenticationEnabled"] is True
    assert made["RegisteredUsers"] == {"appliance": "word"}
    assert made["Hemorrhage"]["ServiceUrl"] == "https://hemorrhage-reader:8443"
    assert made["Hemorrhage"]["Token"] == "token"
    assert "hemorrhage-orthanc" in made["TrustedHosts"]
    assert made["HttpPort"] == 8043


def test_both_overlays_differ_in_nothing_but_the_gpu():
    cpu, nvidia = (tomllib.loads(settings_files(render(overlay))["appliance.toml"]) for overlay in OVERLAYS)
    for other in (cpu, nvidia):
        for name in ("profile", "model_repository", "environment", "others"):
            other["triton"].pop(name, None)
    assert cpu == nvidia


def commands_of_images() -> dict[str, list[str]]:
    """Return the command of each image by its name, as its Containerfile has it."""
    found = {}
    for file in ("Containerfile", "Containerfile.nvidia"):
        text = (CONTAINERS / file).read_text().replace("\\\n", " ")
        names = re.findall(r'image\.title="([a-z-]+)"', text)
        commands = re.findall(r"^CMD (\[.+\])$", text, flags=re.MULTILINE)
        found |= dict(zip(names, map(json.loads, commands), strict=True))
    return found


def test_a_reader_with_a_gpu_is_ready_while_its_service_is_whichever_triton_does_not_start():
    reader = pods(render("nvidia"))["hemorrhage-reader"]["spec"]
    commands = commands_of_images()
    for container in reader["containers"]:
        if container["name"] == "service":
            assert container["readinessProbe"]["httpGet"]["path"] == "/health/ready"
            assert "args" not in container
        else:  # its container runs however often its server is started again
            assert not {"readinessProbe", "startupProbe", "livenessProbe"} & set(container), container["name"]
            image = container["image"].partition("/")[2].partition(":")[0]
            assert container["args"] == ["--again", *commands[image]], container["name"]


def test_the_service_of_a_reader_with_a_gpu_reads_the_model_repository_that_its_triton_writes():
    made = render("nvidia")
    repository = Path(tomllib.loads(settings_files(made)["appliance.toml"])["triton"]["model_repository"])
    mounted = {
        (container["name"], mount["name"], mount.get("readOnly", False))
        for container in pods(made)["hemorrhage-reader"]["spec"]["containers"]
        for mount in container["volumeMounts"]
        if repository.is_relative_to(mount["mountPath"])
    }
    assert mounted == {("triton", "engines", False), ("service", "engines", True)}


def test_a_reader_with_a_gpu_has_a_triton_on_its_cpu_that_the_service_asks_next(tmp_path, monkeypatch):
    made = render("nvidia")
    reader = pods(made)["hemorrhage-reader"]["spec"]
    (stand_in,) = (container for container in reader["containers"] if container["name"] == "triton-cpu")
    assert stand_in["image"] == f"registry.example/hemorrhage-triton:{__version__}"
    assert "nvidia.com/gpu" not in stand_in["resources"]["limits"]
    (tmp_path / "appliance.toml").write_text(settings_files(made)["appliance.toml"])
    first = load_settings(tmp_path / "appliance.toml").triton
    for variable in stand_in["env"]:
        monkeypatch.setenv(variable["name"], variable["value"])
    other = load_settings(tmp_path / "appliance.toml").triton
    assert (first.profile, other.profile) == ("gpu", "cpu")
    (asked_next,) = endpoints(first)[1:]
    assert (asked_next.grpc_port, asked_next.metrics_port) == (other.grpc_port, other.metrics_port)
    assert str(other.model_repository) == "/opt/hemorrhage-appliance/model_repository"
    assert not {first.http_port, first.grpc_port, first.metrics_port} & {
        other.http_port,
        other.grpc_port,
        other.metrics_port,
    }
