# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Which model Triton serves, and whether it answers the golden chunk correctly."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Final

from appliance.doctor.check import Check
from appliance.doctor.drift_reference import check_drift_reference
from appliance.errors import ApplianceError, ModelContractError
from appliance.inference.detector import TritonDetector
from appliance.models.build import engine_fault, engine_rows
from appliance.models.servers import servers
from appliance.models.shelf import Shelf
from appliance.models.standing import targets_of
from appliance.reading.contract import DETECTOR
from appliance.reading.gpu import Gpu, NoGpuError, present_gpus
from appliance.reading.lesions import Criteria
from appliance.settings import Settings

_DRIVER_PATIENCE_S: Final = 10.0
"""Triton uses the GPU, so its driver has nothing to start."""


def check_model(settings: Settings) -> Iterator[Check]:
    """Check the model with the service's detector."""
    try:
        promoted = targets_of(settings)
        detector = TritonDetector(settings.triton, settings.triton.timeout_s, lambda: promoted)
    except ApplianceError as error:
        contract = isinstance(error, ModelContractError)
        yield Check(
            "model",
            "fail",
            str(error),
            "write the model repository with this version's conversion and restart Triton"
            if contract
            else "see Triton's log; set triton.grpc_port when only its HTTP port answers",
        )
        return
    try:
        identity = detector.identity
        criteria = Criteria.of(settings.finding, detector.suggested_threshold)
        chosen = "suggested by the model" if settings.finding.threshold is None else "set by the site"
        extension = f"lesions extended from {criteria.extend_score:g}" if criteria.extends else "lesions not extended"
        yield Check(
            "model",
            "ok",
            f"{identity.name} version {identity.version}, sha256 {identity.sha256[:12]}…, "
            f"threshold {criteria.threshold:g} ({chosen}), {extension}",
        )
        if detector.passed_over:
            yield Check(
                "promoted version",
                "warn",
                f"does not answer, version {identity.version} stands in for it: {detector.passed_over}",
                "see Triton's log and `appliance models list`; bring it in again, or `appliance models rollback`",
            )
        yield from _model_on_disk(settings, detector.served_as, identity.sha256)
        yield check_drift_reference(settings, identity.sha256)
        readiness = detector.check_readiness()
        yield _engine(settings, detector)
        if readiness:
            yield Check("golden answer", "ok", "the golden chunk comes back right")
            if detector.first_left:
                engine = detector.engine or "an engine that its metrics do not name"
                yield Check(
                    "first triton",
                    "warn",
                    f"{detector.first_left}; another one answers in its place, with {engine}",
                    "start that Triton again, and see its log",
                )
        else:
            yield Check(
                "golden answer", "fail", readiness.reason, "ask again; when it stays so, restart Triton and see its log"
            )
    finally:
        detector.close()


def check_others(settings: Settings) -> Iterator[Check]:
    """Check each Triton of `triton.others`: whether it answers, with the version that is promoted, and rightly."""
    promoted = targets_of(settings)
    for server in servers(settings.triton)[1:]:
        name = f"triton {server.address}"
        try:
            detector = TritonDetector(server.settings, settings.triton.timeout_s, lambda: promoted)
        except ApplianceError as error:
            yield Check(
                name, "warn", str(error), "start it, or take it out of triton.others; studies do not wait for it"
            )
            continue
        try:
            version, readiness = detector.identity.version, detector.check_readiness()
            if detector.passed_over or not readiness:
                yield Check(
                    name,
                    "warn",
                    f"version {version} would answer: {detector.passed_over or readiness.reason}",
                    "copy the promoted version's folder to that Triton's model repository, and see its log",
                )
            else:
                yield Check(name, "ok", f"version {version} answers the golden chunk rightly")
        finally:
            detector.close()


def _engine(settings: Settings, detector: TritonDetector) -> Check:
    """Say what runs the model, and warn if another engine was asked for or none is known."""
    if settings.triton.profile != "cpu":
        found = check_tensorrt(settings, detector.served_as, _gpus())
        if not detector.first_left:
            return found
        serves = detector.engine or "an engine that its metrics do not name"
        return Check(
            "engine",
            "warn",
            f"{serves}, of the Triton that stands in; the first one's: {found.what}",
            found.remedy or "see the first Triton's log",
        )
    engine, asked = detector.engine, settings.triton.engine
    if engine is None:
        return Check(
            "engine",
            "warn",
            f"Triton's metrics do not say which engine runs the model ({settings.triton.host}:"
            f"{settings.triton.metrics_port})",
            "set triton.metrics_port to Triton's, or write the model repository again and restart Triton; answers do "
            "not depend on it",
        )
    if engine.passed_over:
        return Check(
            "engine",
            "warn",
            str(engine),
            "answers are right and slower; see Triton's log. Damaged files: write the model repository again, or "
            "install again; an engine that answers wrongly or does not load on this CPU: report it, and set "
            "triton.engine to the one that serves so that it is not tried again",
        )
    if asked not in ("auto", engine.name):
        return Check(
            "engine", "warn", f"{engine}, and triton.engine asks for {asked}", "restart Triton: it chooses at start"
        )
    return Check("engine", "ok", f"{engine}, {'chosen by the CPU' if asked == 'auto' else 'set by the site'}")


def _gpus() -> list[Gpu]:
    """Return the GPUs of this machine; none where no driver names one, as where Triton runs on another machine."""
    try:
        return present_gpus(_DRIVER_PATIENCE_S)
    except NoGpuError:
        return []


def check_tensorrt(settings: Settings, served_as: str, gpus: Sequence[Gpu]) -> Check:
    """Say which engine a GPU runs, from which file and by whom it was built, and warn if it is not the right one."""
    name = f"TensorRT, profile {settings.triton.profile}"
    model = next((one for one in Shelf(settings).versions() if one.facts.served_as == served_as), None)
    if model is None:
        return Check("engine", "ok", f"{name}; its files are on another machine")
    said = (
        "; ".join(f"{what} {value}" for what, value in engine_rows(model.place, model.engine)) if model.engine else ""
    )
    fault = engine_fault(model, gpus)
    if fault is None:
        return Check("engine", "ok", f"{name}: {said}")
    return Check(
        "engine",
        "warn",
        f"{name}: {fault}{f' ({said})' if said else ''}",
        f"`appliance models build {model.facts.version}` in the container that serves it, then restart Triton",
    )


def _model_on_disk(settings: Settings, served_as: str, served: str) -> Iterator[Check]:
    """Compare the served model with the repository's, if that is on this machine."""
    repository = settings.triton.model_repository if served_as == DETECTOR else settings.site_models
    versions = (repository / served_as).glob("[0-9]*/model.onnx")
    newest = max(versions, key=lambda path: int(path.parent.name), default=None)
    if newest is None:
        return
    found = hashlib.sha256(newest.read_bytes()).hexdigest()
    if found != served:
        yield Check(
            "model repository",
            "warn",
            f"{newest} has sha256 {found[:12]}…, Triton serves {served[:12]}…",
            "restart Triton to serve the file, or write the repository again when its configuration is the older one",
        )
    else:
        yield Check("model repository", "ok", f"Triton serves {newest}")
