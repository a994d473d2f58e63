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
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
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
_OF_A_GPU: Final = (f"{PLAN}*", "model.timing")
"""Files of a version that are of the GPU they were made on: an engine is built and compared where it serves."""
_GATE: Final = "precisions.json"
_LOCK: Final = ".lock"
_COMING: Final = ".coming"
_GOING: Final = ".going"
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
    def judged(self) -> bool:
        """Whether the precision gate has judged it; Triton's CPU profile serves it in full precision alone if not."""
        return (self.place / _GATE).is_file()

    @property
    def engine(self) -> dict[str, Any] | None:
        """What is known of the engine built from it at this site (`conversion.engine`), None without one."""
        try:
            found = json.loads((self.place / f"{PLAN}.json").read_text())
            return found if isinstance(found, dict) and (self.place / PLAN).is_file() else None
        except (OSError, ValueError):
            return None


@dataclass(frozen=True)
class UnreadableModel:
    """A folder that should hold a version and does not: what its name says of it, and why it cannot be read."""

    facts: ModelFacts
    """Without a sha256; of the shipped one with the version that a configuration states, "" where none can be read."""
    folder: Path
    fault: str
    shipped: bool

    @property
    def remedy(self) -> str:
        """What to do about it."""
        if self.shipped:
            return "it came with the appliance: install that again, or let triton.model_repository say where it lies"
        return (
            f"`appliance models load FOLDER` puts a sound copy in its place, `appliance models remove "
            f"{self.facts.version}` removes it"
        )


class Shelf:
    """The versions in the two model repositories of a site."""

    def __init__(self, settings: Settings) -> None:
        self._shipped = settings.triton.model_repository
        self._site = settings.site_models
        self._profile = settings.triton.profile

    def look(self) -> tuple[list[ShelvedModel], list[UnreadableModel]]:
        """Return the versions, as `versions` does, and the folders that should hold one and cannot be read."""
        return self._look_into(self._folders())

    def versions(self) -> list[ShelvedModel]:
        """Return those that can be read: the one that came with the appliance, then the site's by number."""
        return self.look()[0]

    def find_shipped(self) -> ShelvedModel:
        """Return the version that came with the appliance. Raises `ShelfError` when it is not there."""
        return self._read_version(self._shipped / DETECTOR, shipped=True)

    def find(self, name: str) -> ShelvedModel | UnreadableModel:
        """Return what is there under this number or name in Triton. Raises `ShelfError` when there is nothing, or two.

        By the name in Triton no other folder is read.
        """
        folders = self._folders()
        versions, unreadable = self._look_into([one for one in folders if one.name == name] or folders)
        there: list[ShelvedModel | UnreadableModel] = [*versions, *unreadable]
        found = [one for one in there if name in (one.facts.served_as, one.facts.version)]
        if len(found) > 1:
            names = " and ".join(one.facts.served_as for one in found)
            raise ShelfError(f"version {name} is there twice; name one of {names}")
        if not found:
            readable = ", ".join(one.facts.version for one in versions) or "none"
            raise ShelfError(
                f"version {name} is not there; there are: {readable} (`appliance models load FOLDER` brings one)"
            )
        return found[0]

    def version(self, name: str) -> ShelvedModel:
        """Return the version with this number or name in Triton.

        Raises `ShelfError` when there is none, or two, or it cannot be read.
        """
        found = self.find(name)
        if isinstance(found, UnreadableModel):
            raise ShelfError(f"{found.fault}; {found.remedy}")
        return found

    def bring_in(self, source: Path, in_use: Mapping[str, str] = MappingProxyType({})) -> ShelvedModel:
        """Copy a version into the site's model repository, whole or not at all, and return it.

        `source` is a model repository, or its folder of the detector, as `python -m conversion repository` writes it.
        Engines are not copied. A version that the site has already is left as it is; one that cannot be read is
        replaced. `in_use` has the names in Triton that may answer, are the shadow or are loaded, with the sha256 of
        each ("" if that is not known): there only a copy of the very same network takes the place.

        Raises
        ------
        ShelfError
            when it is not a version of the detector, another version has its number, or the shipped one may have it.
        OSError
            when it cannot be copied.
        """
        folder = source / DETECTOR if (source / DETECTOR).is_dir() else source
        coming = self._read_version(folder, shipped=False)
        version = coming.facts.version
        self._site.mkdir(parents=True, exist_ok=True)
        name = f"{DETECTOR}_{version}"
        with _hold(self._site / _LOCK):
            versions, unreadable = self.look()
            taken = in_use.get(name)
            for there in versions:
                if there.facts.version == version:
                    if there.facts.sha256 == coming.facts.sha256:
                        return there
                    taken = there.facts.sha256
            for lost in unreadable:
                if lost.shipped and lost.facts.version in ("", version):
                    raise ShelfError(f"version {version} may be the shipped one: {lost.fault}; {lost.remedy}")
            if taken == "":
                raise ShelfError(
                    f"version {version} is loaded here, and neither its files nor the ledger say which network it is; "
                    f"`appliance models unload {version}` first"
                )
            if taken is not None and taken != coming.facts.sha256:
                raise ShelfError(
                    f"another model is version {version} here (sha256 {taken[:12]}…, "
                    f"{coming.facts.sha256[:12]}… was brought); export the new one with a number of its own "
                    "(`python -m conversion export --version N`, then `repository --version N`)"
                )
            aside = self._site / _COMING
            shutil.rmtree(aside, ignore_errors=True)  # from a copy that was broken off
            ignore = shutil.ignore_patterns("__pycache__", ".*", *_OF_A_GPU)
            shutil.copytree(coming.place, aside / version, ignore=ignore)
            configs = {path.name: path for path in (folder / "configs").glob("*.pbtxt")}
            (aside / "configs").mkdir()
            for file, path in configs.items():
                (aside / "configs" / file).write_text(_rename(_config(path), name, int(version)))
            (aside / "config.pbtxt").write_text((aside / "configs" / f"{self._profile}.pbtxt").read_text())
            with _remove(self._site / name, self._site / _GOING):
                aside.rename(self._site / name)
        return self._read_version(self._site / name, shipped=False)

    @contextmanager
    def removing(self, model: ShelvedModel | UnreadableModel) -> Iterator[None]:
        """Remove a version's folder, whole or not at all; it stays if the `with` block fails. Raises `OSError`."""
        with _hold(self._site / _LOCK), _remove(model.folder, self._site / _GOING):
            yield

    def _folders(self) -> list[Path]:
        """Return the folders that should hold a version: the shipped one, then those of the site by number."""
        there = self._site.iterdir() if self._site.is_dir() else ()
        found = (folder for folder in there if _SITE_NAME.fullmatch(folder.name))
        return [self._shipped / DETECTOR, *sorted(found, key=_number)]

    def _look_into(self, folders: Iterable[Path]) -> tuple[list[ShelvedModel], list[UnreadableModel]]:
        versions: list[ShelvedModel] = []
        unreadable: list[UnreadableModel] = []
        for folder in folders:
            shipped = folder.name == DETECTOR
            try:
                model = self._read_version(folder, shipped)
                if model.facts.served_as != folder.name:
                    raise ShelfError(f"{folder} holds version {model.facts.version}: its name has another number")
                versions.append(model)
            except ShelfError as error:
                facts = ModelFacts(folder.name, _stated_version(folder) if shipped else str(_number(folder)), "")
                unreadable.append(UnreadableModel(facts, folder, str(error), shipped))
        return versions, unreadable

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


def _stated_version(folder: Path) -> str:
    """Return the version that the first readable configuration in a model's folder states, "" if none does."""
    for path in sorted((folder / "configs").glob("*.pbtxt")):
        with suppress(ShelfError):
            return str(_config(path).parameters[PARAMETER_MODEL_VERSION].string_value)
    return ""


def _rename(config: Any, name: str, version: int) -> str:
    """Return the text of a configuration with another name that serves only this version."""
    config.name = name
    config.version_policy.specific.versions[:] = [version]
    return str(text_format.MessageToString(config))


def _number(folder: Path) -> int:
    """Return the number in the name of a folder of the site's."""
    return int(folder.name.rpartition("_")[2])


@contextmanager
def _remove(folder: Path, aside: Path) -> Iterator[None]:
    """Remove a folder, if it is there, by way of `aside`; it is put back if the `with` block fails."""
    shutil.rmtree(aside, ignore_errors=True)  # from a removal that was broken off
    if not folder.exists():
        yield
        return
    folder.rename(aside)
    try:
        yield
    except BaseException:  # Ctrl-C too
        aside.rename(folder)
        raise
    shutil.rmtree(aside)


@contextmanager
def _hold(lock: Path) -> Iterator[None]:
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
