# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The versions of the detector on this machine's disk: the one that came with the appliance, and those of the site.

A version that the site loads becomes a separate model in Triton, `hemorrhage_detector_N`, with version folder `N` and a
version policy that names only `N`. As a further version of one Triton model it would share that model's configuration
(sha256, threshold, golden answer, input type), and it could not be unloaded, or restarted after a crash, without the
version that answers. So the two are independent, and the site's files lie apart from the appliance's, which an upgrade
replaces.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from google.protobuf import text_format  # type: ignore[import-untyped]
from tritonclient.grpc import model_config_pb2

from appliance.errors import ApplianceError
from appliance.ledger.models import ModelFacts
from appliance.reading.contract import (
    DETECTOR,
    PARAMETER_MODEL_VERSION,
    PARAMETER_ONNX_SHA256,
    PARAMETER_THRESHOLD,
)
from appliance.settings import Settings

ONNX: Final = "model.onnx"
PLAN: Final = "model.plan"
_LOCK: Final = ".lock"
_COMING: Final = ".coming"
_SITE_NAME: Final = re.compile(rf"{DETECTOR}_([1-9][0-9]*)")


class ShelfError(ApplianceError):
    """A version does not exist, or a folder holds no version of the detector that can be served."""


@dataclass(frozen=True)
class ShelvedModel:
    """A version on the disk: its folder in a model repository, its version folder, and what its configuration says."""

    facts: ModelFacts
    folder: Path
    place: Path
    threshold: str
    shipped: bool

    @property
    def engine(self) -> dict[str, Any] | None:
        """What is known of the engine built from it at this site (`conversion.engine`), None without one."""
        try:
            found = json.loads((self.place / f"{PLAN}.json").read_text())
            return found if isinstance(found, dict) and (self.place / PLAN).is_file() else None
        except (OSError, ValueError):
            return None


class Shelf:
    """The versions in the two model repositories of a site."""

    def __init__(self, settings: Settings) -> None:
        self._shipped = settings.triton.model_repository
        self._site = settings.site_models
        self._profile = settings.triton.profile

    def versions(self) -> list[ShelvedModel]:
        """Return the version that came with the appliance, then those of the site by number.

        Raises `ShelfError` when one of them cannot be read.
        """
        folders = [self._shipped / DETECTOR] if (self._shipped / DETECTOR).is_dir() else []
        if self._site.is_dir():
            found = [path for path in self._site.iterdir() if _SITE_NAME.fullmatch(path.name)]
            folders += sorted(found, key=lambda path: int(path.name.rpartition("_")[2]))
        return [self._read_version(folder, shipped=folder.parent == self._shipped) for folder in folders]

    def find_shipped(self) -> ShelvedModel:
        """Return the version that came with the appliance. Raises `ShelfError` when it is not there."""
        return self._read_version(self._shipped / DETECTOR, shipped=True)

    def version(self, name: str) -> ShelvedModel:
        """Return the version with this number or name in Triton. Raises `ShelfError` when there is none, or two."""
        versions = self.versions()
        found = [one for one in versions if name == one.facts.served_as] or [
            one for one in versions if name == one.facts.version
        ]
        if len(found) > 1:
            names = " and ".join(one.facts.served_as for one in found)
            raise ShelfError(f"version {name} is there twice; name one of {names}")
        if not found:
            there = ", ".join(one.facts.version for one in versions) or "none"
            raise ShelfError(
                f"version {name} is not there; there are: {there} (`appliance models load FOLDER` brings one)"
            )
        return found[0]

    def bring_in(self, source: Path) -> ShelvedModel:
        """Copy a version into the site's model repository, whole or not at all, and return it.

        `source` is a model repository, or its folder of the detector, as `python -m conversion repository` writes it.
        A version that the site has already is left as it is.

        Raises
        ------
        ShelfError
            when it is not a version of the detector, or another version has its number.
        OSError
            when it cannot be copied.
        """
        folder = source / DETECTOR if (source / DETECTOR).is_dir() else source
        coming = self._read_version(folder, shipped=False)
        version = coming.facts.version
        for there in self.versions():
            if there.facts.version == version:
                if there.facts.sha256 == coming.facts.sha256:
                    return there
                raise ShelfError(
                    f"another model is version {version} here (sha256 {there.facts.sha256[:12]}…, "
                    f"{coming.facts.sha256[:12]}… was brought); export the new one with a number of its own "
                    "(`python -m conversion export --version N`, then `repository --version N`)"
                )
        name = f"{DETECTOR}_{version}"
        self._site.mkdir(parents=True, exist_ok=True)
        with _hold(self._site / _LOCK):
            aside = self._site / _COMING
            shutil.rmtree(aside, ignore_errors=True)  # from a copy that was broken off
            shutil.copytree(coming.place, aside / version, ignore=shutil.ignore_patterns("__pycache__", ".*"))
            configs = {path.name: path for path in (folder / "configs").glob("*.pbtxt")}
            (aside / "configs").mkdir()
            for file, path in configs.items():
                (aside / "configs" / file).write_text(_rename(_config(path), name, int(version)))
            (aside / "config.pbtxt").write_text((aside / "configs" / f"{self._profile}.pbtxt").read_text())
            aside.rename(self._site / name)
        return self._read_version(self._site / name, shipped=False)

    def _read_version(self, folder: Path, shipped: bool) -> ShelvedModel:
        """Return the version in a model's folder; its files are compared with what its configuration says."""
        config = _config(folder / "configs" / f"{self._profile}.pbtxt")
        said = {name: value.string_value for name, value in config.parameters.items()}
        places = sorted(
            (path for path in folder.glob("[1-9]*") if path.name.isdigit()), key=lambda path: int(path.name)
        )
        if not places or (len(places) > 1 and not shipped):
            numbers = ", ".join(path.name for path in places) or "none"
            raise ShelfError(f"{folder}: one version folder is wanted, and there are: {numbers}")
        place = places[-1]
        version, sha256 = said.get(PARAMETER_MODEL_VERSION, ""), said.get(PARAMETER_ONNX_SHA256, "")
        if not shipped and version != place.name:
            raise ShelfError(
                f"{folder}: the model says that it is version {version or '(none)'} and lies in folder {place.name}; "
                f"export it with --version {place.name}, or lay it out with --version {version or 'N'}"
            )
        try:
            found = hashlib.sha256((place / ONNX).read_bytes()).hexdigest()
        except OSError as error:
            raise ShelfError(f"{place / ONNX} cannot be read: {error.strerror}") from error
        if found != sha256:
            raise ShelfError(
                f"{place / ONNX} has sha256 {found[:12]}…, its configuration says {sha256[:12] or '(none)'}…: it is "
                "damaged, or of another export; copy it again, or write it again (`python -m conversion repository`)"
            )
        served_as = DETECTOR if shipped else f"{DETECTOR}_{version}"
        threshold = said.get(PARAMETER_THRESHOLD, "")
        return ShelvedModel(ModelFacts(served_as, version, sha256), folder, place, threshold, shipped)


def _config(path: Path) -> Any:
    """Return Triton's configuration in a file. Raises `ShelfError` when there is none."""
    try:
        return text_format.Parse(path.read_text(), model_config_pb2.ModelConfig())
    except OSError as error:
        raise ShelfError(
            f"{path} cannot be read ({error.strerror}); a version is a folder as `python -m conversion repository` "
            "writes it"
        ) from error
    except (text_format.ParseError, ValueError) as error:
        raise ShelfError(f"{path} is no configuration of Triton: {error}") from error


def _rename(config: Any, name: str, version: int) -> str:
    """Return the text of a configuration with another name that serves only this version."""
    config.name = name
    config.version_policy.specific.versions[:] = [version]
    return str(text_format.MessageToString(config))


@contextmanager
def _hold(lock: Path) -> Iterator[None]:
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
