# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Proves what the Compose files and the Containerfiles promise; `python -m tests.containers` runs them."""

from __future__ import annotations

import copy
import re
import subprocess
from pathlib import Path

import podman_compose
import pytest
import yaml

from appliance import __version__
from appliance.inference.client import endpoints
from appliance.settings_sources import SECRETS, load_settings
from deploy.containers.images import IMAGES
from deploy.install.bundle import PARTS, SBOM

FOLDER = Path(__file__).resolve().parents[3] / "deploy/containers"
OURS = re.compile(r"localhost/hemorrhage-([a-z-]+):(.+)")


def compose(*names: str):
    merged: dict = {}
    for name in names:
        podman_compose.rec_merge(merged, copy.deepcopy(yaml.safe_load((FOLDER / name).read_text())))
    return merged


CPU = ("compose.yaml",)
NVIDIA = ("compose.yaml", "compose.nvidia.yaml")


@pytest.mark.parametrize("files", [CPU, NVIDIA])
def test_no_container_can_write_its_root_gain_rights_or_keep_a_capability(files):
    for name, service in compose(*files)["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in service, name
        assert "cap_add" not in service, name
        assert service["mem_limit"], name
        assert service["pids_limit"], name


@pytest.mark.parametrize("files", [CPU, NVIDIA])
def test_every_image_is_ours_and_of_this_version(files):
    for name, service in compose(*files)["services"].items():
        match = OURS.fullmatch(service["image"])
        assert match, name
        assert match[1] in (*IMAGES, "triton-nvidia"), name
        assert match[2] == __version__, name


@pytest.mark.parametrize("files", [CPU, NVIDIA])
def test_only_loopback_is_published_and_only_by_the_container_that_holds_the_network(files):
    services = compose(*files)["services"]
    assert {name for name, service in services.items() if "ports" in service} == {"network"}
    for port in services["network"]["ports"]:
        assert re.fullmatch(r"127\.0\.0\.1:(4243|8443):\1", port)
    for name in ("orthanc", "triton", "service"):
        assert services[name]["network_mode"] == "service:network"


@pytest.mark.parametrize("files", [CPU, NVIDIA])
def test_everything_restarts_and_depends_only_on_what_never_ends_by_itself(files):
    services = compose(*files)["services"]
    for name, service in services.items():
        assert service["restart"] == "unless-stopped", name
        assert set(service.get("depends_on", ())) <= {"network", "configure"}, name


@pytest.mark.parametrize("files", [CPU, NVIDIA])
def test_every_volume_that_is_used_is_named_and_triton_and_the_service_share_their_memory(files):
    made = compose(*files)
    used = {
        volume.split(":")[0]
        for service in made["services"].values()
        for volume in service.get("volumes", ())
        if not volume.startswith("./")
    }
    assert used == set(made["volumes"])
    for name in ("triton", "service"):
        assert "shared-memory:/dev/shm" in made["services"][name]["volumes"]
    assert made["volumes"]["shared-memory"]["driver_opts"]["type"] == "tmpfs"


def test_the_secrets_are_files_named_after_settings_and_orthanc_gets_none():
    made = compose(*CPU)
    settings = {f"{section}.{name}" for section, name in SECRETS}
    files = {name: Path(secret["file"]) for name, secret in made["secrets"].items()}
    for service in made["services"].values():
        for secret in service.get("secrets", ()):
            assert secret["target"] in settings
            assert files[secret["source"]].name == secret["target"]
    assert "secrets" not in made["services"]["orthanc"]
    assert "secrets" not in made["services"]["network"]
    assert "environment" not in str(made["services"])


def test_with_a_gpu_the_triton_of_a_cpu_site_is_the_next_that_the_service_asks(tmp_path, monkeypatch):
    services = compose(*NVIDIA)["services"]
    stand_in, usual = services["triton-cpu"], compose(*CPU)["services"]["triton"]
    same = ("image", "network_mode", "secrets", "tmpfs", "pids_limit", "mem_limit", "volumes", "depends_on")
    assert {name: stand_in[name] for name in same} == {name: usual[name] for name in same}
    comment = (FOLDER / "compose.nvidia.yaml").read_text().partition("services:")[0]
    asked_for = [line.removeprefix("#     ") for line in comment.splitlines() if line.startswith("#     ")]
    usual_lines = (FOLDER / "appliance.toml").read_text().partition("[triton]")
    shipped = [line for line in usual_lines[2].splitlines() if not line.startswith("model_repository")]
    (tmp_path / "appliance.toml").write_text("\n".join([usual_lines[0], *asked_for, *shipped]))
    first = load_settings(tmp_path / "appliance.toml").triton
    for name, value in stand_in["environment"].items():
        monkeypatch.setenv(name, value)
    other = load_settings(tmp_path / "appliance.toml").triton
    assert (first.profile, other.profile) == ("gpu", "cpu")
    (asked_next,) = endpoints(first)[1:]
    assert (asked_next.grpc_port, asked_next.metrics_port) == (other.grpc_port, other.metrics_port)
    assert other.model_repository == load_settings(FOLDER / "appliance.toml").triton.model_repository
    assert f"http://127.0.0.1:{other.http_port}/v2/health/ready" in stand_in["healthcheck"]["test"]
    ports = [[one.http_port, one.grpc_port, one.metrics_port] for one in (first, other)]
    assert len({port for two in ports for port in two}) == 6


def test_with_a_gpu_the_service_reads_the_model_repository_that_its_triton_writes():
    comment = (FOLDER / "compose.nvidia.yaml").read_text().partition("services:")[0]
    (repository,) = re.findall(r'model_repository = "(.+)"', comment)
    mounted = {}
    for name in ("triton", "service"):
        for volume in compose(*NVIDIA)["services"][name]["volumes"]:
            source, place, *options = volume.split(":")
            if Path(repository).is_relative_to(place):
                mounted[name] = (source, place, options)
    engines = "/var/lib/hemorrhage-appliance/engines"
    assert mounted == {"triton": ("engines", engines, []), "service": ("engines", engines, ["ro"])}
    # The volume belongs to the user of both, whichever container mounts it first.
    for file in ("lay_out.sh", "Containerfile.nvidia"):
        assert re.search(rf"install -d -m 700 -o 10001 -g 10001 .*{engines}( |$)", (FOLDER / file).read_text(), re.M)


def test_in_nvidias_image_the_command_builds_with_the_python_that_has_tensorrt(monkeypatch):
    text = (FOLDER / "Containerfile.nvidia").read_text()
    (builder,) = re.findall(r"APPLIANCE_TRITON__BUILDER=(\S+)", text)
    assert "-m venv builder" in text
    assert builder == "/opt/hemorrhage-appliance/builder/bin/python"
    assert re.search(r"install -m 755 \S+/deploy/containers/appliance\.sh /usr/local/bin/appliance$", text, re.M)
    monkeypatch.setenv("APPLIANCE_TRITON__BUILDER", builder)
    assert load_settings(FOLDER / "appliance.toml").triton.builder == Path(builder)


def test_the_settings_file_is_one_and_loads_with_the_paths_of_the_images():
    settings = load_settings(FOLDER / "appliance.toml")
    mounted = [volume.split(":")[1] for volume in compose(*CPU)["services"]["service"]["volumes"]]
    assert str(settings.state_dir) in mounted
    assert str(settings.orthanc.storage) in mounted
    assert settings.triton.shared_memory
    assert settings.triton.environment == Path("/opt/hemorrhage-appliance/triton")
    assert "/etc/hemorrhage-appliance/appliance.toml" in mounted


def stages(name: str) -> dict[str, str]:
    text = (FOLDER / name).read_text()
    found = re.split(r"^FROM (.+)$", text, flags=re.MULTILINE)[1:]
    return {heading.split()[-1]: body for heading, body in zip(found[::2], found[1::2], strict=True)}


def test_every_image_runs_without_root_has_a_health_check_and_says_what_it_is():
    made = {name: body for name, body in stages("Containerfile").items() if name in IMAGES}
    assert set(made) == set(IMAGES)
    made |= {"nvidia": next(iter(stages("Containerfile.nvidia").values()))}
    for name, body in made.items():
        users = re.findall(r"^USER (\d+)", body, re.MULTILINE)
        assert int(users[-1]) > 10_000, name
        assert "HEALTHCHECK" in body, name
        for label in ("title", "description", "licenses"):
            assert f"org.opencontainers.image.{label}=" in body, name
        assert "unit.py" in body, name
    for name in ("service", "orthanc", "nvidia"):
        assert "org.opencontainers.image.revision" in made[name]
        assert "org.opencontainers.image.version" in made[name]


def test_nothing_is_fetched_while_the_images_of_a_cpu_site_are_built():
    text = (FOLDER / "Containerfile").read_text() + (FOLDER / "lay_out.sh").read_text()
    assert not re.search(r"https?://(?!127\.0\.0\.1)", text)
    assert "--no-index" in text
    assert "--require-hashes" in text
    copied = re.findall(r"^    copy (.+)$", (FOLDER / "lay_out.sh").read_text(), re.MULTILINE)
    for line in copied:
        for part in line.split():
            assert part.split("/")[0] in (*PARTS, "viewer", SBOM)  # what `deploy.install.bundle` lays out


def test_the_script_that_fills_the_images_is_one_that_a_shell_reads():
    for script in ("lay_out.sh", "appliance.sh", "upgrade.sh"):
        subprocess.run(["sh", "-n", str(FOLDER / script)], check=True)
