# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The life of a version of the detector: loaded beside the one that answers, proven, promoted, and rolled back.

One row of the ledger says which version answers. The service reads it before each study, so a promotion takes effect
with the next study; a study in progress is finished by the version that began it, which stays loaded. The row is
written last: if anything fails before, or ends this process, the version that answered still answers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from appliance.clocks import iso
from appliance.errors import ApplianceError, ModelContractError, UnavailableError
from appliance.inference.client import LOAD_TIMEOUT_S
from appliance.inference.detector import TritonDetector
from appliance.inference.served_model import Target
from appliance.ledger.ledger import Ledger
from appliance.ledger.models import ModelFacts, find_shadow, list_standing
from appliance.ledger.records import ModelChange, ModelEvent
from appliance.ledger.shadows import Pair
from appliance.models.build import engine_fault
from appliance.models.golden import Checked, golden_reader
from appliance.models.priority import gives_way
from appliance.models.proof import NotProvenError, prove
from appliance.models.servers import AwayError, Server, ServerError, servers
from appliance.models.shelf import PLAN, Shelf, ShelfError, ShelvedModel, UnreadableModel
from appliance.models.standing import targets
from appliance.reading.contract import DETECTOR
from appliance.reading.gpu import NoGpuError, present_gpus
from appliance.settings import Settings

_FRESH_TRIES: Final = 3
_MOVES: Final = (ModelEvent.PROMOTED, ModelEvent.ROLLED_BACK)
_PROOFS: Final = (*_MOVES, ModelEvent.LOADED, ModelEvent.SHADOWED)
"""What a version has proven itself for; see `_STILL_THE_SHADOW`."""
_STILL_THE_SHADOW: Final = "not promoted: still the shadow"
"""The note of a shadow that a failed promotion left as it was: it proved nothing then."""


class ModelLifeError(ApplianceError):
    """A version was not loaded, promoted or rolled back; the one that answered still answers."""


@dataclass(frozen=True)
class Proven:
    """A version that every Triton that answers serves, and that has proven itself on each.

    Attributes
    ----------
    seconds: its time for a study of 20 slices on the first of them.
    away: addresses of Tritons that do not answer; they load it when they are back, before they answer a study.
    """

    model: ShelvedModel
    seconds: float
    away: tuple[str, ...] = ()


class ModelLife:
    """The versions of a site: on disk, in its Triton, and in its ledger. `who` is recorded with each change."""

    def __init__(self, settings: Settings, ledger: Ledger, who: str) -> None:
        self._settings = settings
        self.ledger = ledger
        self.who = who
        self.shelf = Shelf(settings)
        self.servers = servers(settings.triton)

    def changes(self) -> list[ModelChange]:
        """Return all changes of versions, oldest first."""
        return self.ledger.models.changes()

    def bring_in(self, source: Path) -> ShelvedModel:
        """Copy a version into the site's model repository and return it, as `Shelf.bring_in` does.

        Files of a version in use are replaced only by those of the network that the ledger knows under its number.
        """
        return self.shelf.bring_in(source, self._in_use())

    def load(self, model: ShelvedModel) -> Proven:
        """Load a version beside the one that answers, and let it prove itself.

        Raises `ModelLifeError` when it does not load or prove itself; it is then unloaded, and the reason recorded.
        """
        with self._trying(model) as fresh:
            proven = self._prove(model, fresh)
            self.ledger.models.record(ModelEvent.LOADED, model.facts, self.who, _seconds(proven))
        return proven

    def promote(self, model: ShelvedModel, anyway: str = "", say: Callable[[str], None] = lambda _: None) -> Proven:
        """Let a version answer from the next study on.

        With `anyway`, a reason, it may read golden studies of the site otherwise than confirmed, and be judged by
        another threshold than its own; the reason is recorded. `say` is told how far the golden studies are.

        Raises `ModelLifeError` when it answers already, the site's threshold is not its own, or it does not load or
        does not prove itself; `UnavailableError` or `GoldenError` when golden studies cannot be read, and
        `OvertakenError` when somebody else was faster.
        """
        changes = self.ledger.models.changes()
        stands = list_standing(changes)
        if _is_wanted(model, stands):
            raise ModelLifeError(f"version {model.facts.version} answers already")
        judged = self.foreign_threshold(model)
        if judged and not anyway:
            raise ModelLifeError(
                f"version {model.facts.version} does not take over: {judged}; scores of another network lie elsewhere. "
                "Unset finding.threshold and restart the service: each version is then judged by its own; "
                '`--anyway "REASON"` promotes it nevertheless and records the reason, also if golden studies differ '
                f"(`appliance models golden check {model.facts.version}` shows them)"
            )
        with self._trying(model) as fresh:
            proven = self._prove_unhindered(model, fresh)
            note = _seconds(proven) + (f"; {judged}, promoted anyway: {anyway}" if judged else "")
            checked = self.check_golden(model, say)
            apart = [one for one in checked if one.differences]
            if apart and not anyway:
                why = f"{len(apart)} of {len(checked)} golden studies came back otherwise than confirmed"
                listed = "\n".join(f"  {one.golden.study_uid}: {'; '.join(one.differences)}" for one in apart)
                raise ModelLifeError(
                    f"version {model.facts.version} does not take over: {why}:\n{listed}\n"
                    '`--anyway "REASON"` promotes it nevertheless and records the reason'
                ) from NotProvenError(why)
            if apart:
                note += f"; {len(apart)} of {len(checked)} golden studies differ, promoted anyway: {anyway}"
            elif checked:
                note += f", {len(checked)} golden studies agree"
            self.ledger.models.take_over(ModelEvent.PROMOTED, model.facts, self.who, note, _newest_move(changes))
        return proven

    def rollback(self) -> Proven:
        """Let the version that answered before answer again, from the next study on.

        A threshold of the site that is not its own (`foreign_threshold`) does not hold it up: it has to be quick.

        Raises `ModelLifeError` when there is none, it cannot be read, or it does not load or prove itself.
        """
        changes = self.ledger.models.changes()
        stands = list_standing(changes)
        if not stands:
            raise ModelLifeError("no version was promoted: the one that came with the appliance answers")
        before = stands[1] if len(stands) > 1 else None
        lost = f"version {before.version} (sha256 {before.sha256[:12]}…)" if before else "the shipped version"
        lost += ", which answered before, is not on this machine"
        try:
            model = self.shelf.version(before.served_as if before else DETECTOR)
        except ShelfError as error:
            raise ModelLifeError(f"{lost}: {error}; or promote another one") from error
        if not _is_wanted(model, stands[1:]):
            raise ModelLifeError(f"{lost}; promote one that is")
        with self._trying(model) as fresh:
            proven = self._prove_unhindered(model, fresh)
            judged = self.foreign_threshold(model)
            note = f"instead of version {stands[0].version}" + (f"; {judged}" if judged else "")
            self.ledger.models.take_over(ModelEvent.ROLLED_BACK, model.facts, self.who, note, _newest_move(changes))
        return proven

    def foreign_threshold(self, model: ShelvedModel) -> str:
        """Return in words that a threshold of the site judges a version and is not its own; "" if that is not so."""
        judged_by = self._settings.finding.threshold
        if judged_by is None or judged_by == _own_threshold(model):
            return ""
        return f"finding.threshold in the settings is {judged_by} and judges it, its own is {model.threshold}"

    def shadow(self, model: ShelvedModel) -> Proven:
        """Let a version read, from now on, what another one answers; its readings are kept and not delivered.

        Raises `ModelLifeError` when it answers itself, is the shadow already, or does not load or prove itself.
        """
        changes = self.ledger.models.changes()
        stands, now = list_standing(changes), find_shadow(changes)
        if _is_wanted(model, stands):
            raise ModelLifeError(f"version {model.facts.version} answers; the shadow is another one")
        if now is not None and _facts(now) == model.facts:
            raise ModelLifeError(f"version {model.facts.version} is the shadow already")
        with self._trying(model) as fresh:
            proven = self._prove(model, fresh)
            self.ledger.models.record(ModelEvent.SHADOWED, model.facts, self.who, _seconds(proven))
        return proven

    def end_shadow(self) -> ModelFacts:
        """End the shadow, and return which version it was. Raises `ModelLifeError` when there is none."""
        now = self.ledger.models.shadow()
        if now is None:
            raise ModelLifeError("no version is the shadow")
        self.ledger.models.record(ModelEvent.SHADOW_ENDED, _facts(now), self.who)
        return _facts(now)

    def pairs(self, sha256: str) -> list[Pair]:
        """Return what a shadow has read together with what was answered."""
        return self.ledger.shadows.pairs(sha256)

    def unload(self, model: ShelvedModel | UnreadableModel) -> None:
        """Have Triton free the memory of a version that does not answer.

        Raises `ModelLifeError` when it answers, is the shadow, is what a rollback would return to, or came with the
        appliance: that one stands in when no other loads, and it has to be there at once then.
        """
        if model.shipped:
            raise ModelLifeError(
                "the version that came with the appliance stays loaded: it stands in when no other version loads"
            )
        if self._is_needed(model):
            raise ModelLifeError(
                f"version {model.facts.version} answers, is the shadow, or is what `rollback` would go back to: it "
                "stays loaded"
            )
        answering = [server for server in self.servers if server.list_loaded() is not None]
        if not answering:
            raise ModelLifeError(self._nobody_answers())
        for server in answering:
            server.unload(model.facts.served_as)

    def remove(self, model: ShelvedModel | UnreadableModel) -> None:
        """Remove a version's folder from this machine, and record that.

        Raises `ModelLifeError` as `require_removable` does, `OSError` when it cannot be removed.
        """
        self.require_removable(model)
        with self.shelf.removing(model):
            self.ledger.models.record(ModelEvent.REMOVED, model.facts, self.who)

    def require_removable(self, model: ShelvedModel | UnreadableModel) -> None:
        """Raise `ModelLifeError` when a version came with the appliance, may answer, is the shadow, or is loaded."""
        version, served_as = model.facts.version, model.facts.served_as
        if model.shipped:
            raise ModelLifeError("the version that came with the appliance stays: the others fall back on it")
        stands, shadow = self.ledger.models.list_promoted(), self.ledger.models.shadow()
        if stands and stands[0].served_as == served_as:
            raise ModelLifeError(f"version {version} is promoted and stays; roll back, or promote another one, first")
        if shadow is not None and shadow.served_as == served_as:
            raise ModelLifeError(f"version {version} is the shadow and stays; `appliance models unshadow` ends that")
        if served_as in {*(one.served_as for one in targets(stands)), *(one.served_as for one in stands[:2])}:
            raise ModelLifeError(
                f"version {version} was promoted before the one that answers and stays: it stands in for that one, and "
                "`rollback` goes back to it; once the shipped version is promoted it can be removed"
            )
        loaded = [server.address for server in self.servers if served_as in (server.list_loaded() or ())]
        if loaded:
            raise ModelLifeError(
                f"version {version} is loaded in Triton at {', '.join(loaded)} and stays; `appliance models unload "
                f"{version}` frees its memory first"
            )

    def check_golden(self, model: ShelvedModel, say: Callable[[str], None] = lambda _: None) -> list[Checked]:
        """Return how a version that is loaded reads each golden study of the site; `say` is told how far it is.

        Raises `UnavailableError` when Orthanc or Triton does not answer, or does not serve the version.
        """
        studies = self.ledger.golden.studies()
        if not studies:
            return []
        loaded = self.list_loaded()
        if loaded is not None and model.facts.served_as not in loaded:
            version = model.facts.version
            raise ModelLifeError(f"version {version} is not loaded; `appliance models load {version}` loads it")
        target = Target(model.facts.served_as, model.facts.sha256)
        checked = []
        with (
            golden_reader(self._settings, self.ledger) as reader,
            closing(TritonDetector(self._settings.triton, self._settings.triton.timeout_s, lambda: (target,))) as reads,
        ):
            for number, golden in enumerate(studies, 1):
                say(f"golden study {number} of {len(studies)}")
                checked.append(reader.check(golden, reads, model.facts.sha256))
        return checked

    def list_loaded(self) -> set[str] | None:
        """Return the names of the models that the first Triton serves now; None when it does not answer."""
        return self.servers[0].list_loaded()

    def _in_use(self) -> dict[str, str]:
        """Return the names in Triton that may answer, are the shadow or are loaded, with each's sha256 or ""."""
        changes = self.ledger.models.changes()
        stands, shadow = list_standing(changes), find_shadow(changes)
        proven = {change.served_as: change.sha256 for change in changes if change.event in _PROOFS}
        loaded = {name for server in self.servers for name in server.list_loaded() or ()}
        in_use = {name: proven.get(name, "") for name in loaded}
        if shadow is not None:
            in_use[shadow.served_as] = shadow.sha256
        back_to = (Target(change.served_as, change.sha256) for change in stands[:2])
        for one in reversed((*targets(stands), *back_to)):  # the wanted one last: it counts
            in_use[one.served_as] = one.sha256
        return in_use

    def _is_needed(self, model: ShelvedModel | UnreadableModel) -> bool:
        """Return whether a version answers, is the shadow, is what a rollback would return to, or is shipped."""
        stands, shadow = self.ledger.models.list_promoted(), self.ledger.models.shadow()
        needed = {change.served_as for change in (*stands[:2], *((shadow,) if shadow else ()))}
        return model.shipped or model.facts.served_as in needed

    @contextmanager
    def _trying(self, model: ShelvedModel) -> Iterator[list[Server]]:
        """Yield a list for the servers where a version is loaded only to be tried; undo that after any failure.

        Its memory is freed there, the reason is recorded, and a version that was the shadow is the shadow again.
        """
        if self._settings.triton.profile != "cpu":
            self._require_engine(model)
        shadow = self.ledger.models.shadow()
        fresh: list[Server] = []
        try:
            yield fresh
        except BaseException as error:  # Ctrl-C too
            cause = error.__cause__ if isinstance(error, ModelLifeError) and error.__cause__ else error
            if not isinstance(cause, AwayError):  # a Triton that is away says nothing about the version
                why = str(cause) or f"interrupted ({type(cause).__name__})"
                self.ledger.models.record(ModelEvent.FAILED, model.facts, self.who, why)
            answers = _is_wanted(model, self.ledger.models.list_promoted())  # somebody else promoted it meanwhile
            ended = shadow is not None and _facts(shadow) == model.facts and self.ledger.models.shadow() is None
            if ended and not answers:
                self.ledger.models.record(ModelEvent.SHADOWED, model.facts, self.who, _STILL_THE_SHADOW)
            if not self._is_needed(model):
                for server in fresh:
                    with suppress(ServerError):
                        server.unload(model.facts.served_as)
            raise

    def _require_engine(self, model: ShelvedModel) -> None:
        """Raise `ModelLifeError` unless a version has an engine that was built and compared at this site."""
        version = model.facts.version
        if not (model.place / PLAN).is_file():
            raise ModelLifeError(f"version {version} has no engine yet; `appliance models build {version}` makes it")
        try:
            gpus = present_gpus()
        except NoGpuError:  # Triton's GPU is that of another container or machine
            gpus = []
        if fault := engine_fault(model, gpus):
            raise ModelLifeError(
                f"the engine of version {version} is not the right one: {fault}; `appliance models build {version}` "
                "makes it"
            )

    def _prove_unhindered(self, model: ShelvedModel, fresh: list[Server]) -> Proven:
        """Let a version prove itself in processes with the usual priority on the processor.

        The shadow's processes run at idle priority, which cannot be raised again, so they are replaced by new ones.
        """
        shadow, served_as = self.ledger.models.shadow(), model.facts.served_as
        if shadow is not None and _facts(shadow) == model.facts:
            self.end_shadow()
        for _ in range(_FRESH_TRIES):  # a study that the shadow has just begun may lower the priority again
            for server in self.servers:
                if gives_way(server.processes(served_as)):
                    with suppress(AwayError):  # `_prove` notes that
                        server.unload(served_as)
                        _await_unloaded(server, served_as)
            proven = self._prove(model, fresh)
            answering = (server for server in self.servers if server.address not in proven.away)
            if not any(gives_way(server.processes(served_as)) for server in answering):
                return proven
        raise ModelLifeError(
            f"version {model.facts.version} still gives way to other work, as a shadow does; try again"
        )

    def _prove(self, model: ShelvedModel, fresh: list[Server]) -> Proven:
        """Have every Triton that answers load a version, and let it prove itself on each; add to `fresh` who loads."""
        facts = model.facts
        seconds: list[float] = []
        away: list[str] = []
        try:
            for server in self.servers:
                loaded = server.list_loaded()
                if loaded is None:
                    away.append(server.address)
                    continue
                if facts.served_as not in loaded:  # Triton would start a second process of a version that answers
                    fresh.append(server)
                    server.load(facts.served_as)
                try:
                    seconds.append(prove(server.settings, Target(facts.served_as, facts.sha256)))
                except NotProvenError as error:
                    where = f"on Triton at {server.address}: " if len(self.servers) > 1 else ""
                    raise NotProvenError(f"{where}{error}") from error
            if not seconds:
                raise AwayError(self._nobody_answers())
        except (ServerError, NotProvenError, ModelContractError, UnavailableError) as error:
            raise ModelLifeError(f"version {facts.version} does not take over: {error}") from error
        return Proven(model, seconds[0], tuple(away))

    def _nobody_answers(self) -> str:
        addresses = ", ".join(server.address for server in self.servers)
        return f"Triton at {addresses} does not answer; see `appliance doctor`"


def _await_unloaded(server: Server, served_as: str) -> None:
    """Return once a model is unloaded and its process has ended, which takes a while longer."""
    end = time.monotonic() + LOAD_TIMEOUT_S
    while served_as in (server.list_loaded() or ()) or server.processes(served_as):
        if time.monotonic() > end:
            raise ModelLifeError(f"Triton does not end {served_as}; restart Triton, and try again")
        time.sleep(0.1)


def _facts(change: ModelChange) -> ModelFacts:
    return ModelFacts(change.served_as, change.version, change.sha256)


def _own_threshold(model: ShelvedModel | UnreadableModel) -> float | None:
    """Return the threshold that a version brings, None if that is no number."""
    try:
        return float(model.threshold) if isinstance(model, ShelvedModel) else None
    except ValueError:
        return None


def _is_wanted(model: ShelvedModel | UnreadableModel, stands: Sequence[ModelChange]) -> bool:
    """Return whether a version is the wanted one by the promotions in force, as `standing.targets` has it.

    The shipped version is, without one or by one of it; an upgrade may have brought another sha256 since.
    """
    if model.shipped:
        return not stands or stands[0].served_as == model.facts.served_as
    return bool(stands) and _facts(stands[0]) == model.facts


def _newest_move(changes: list[ModelChange]) -> int:
    return max((change.id for change in changes if change.event in _MOVES), default=0)


def _seconds(proven: Proven) -> str:
    away = f"; not yet on {', '.join(proven.away)}, which did not answer" if proven.away else ""
    return f"golden volumes right, 20 slices in {proven.seconds:.2f} s{away}"


def overview(
    life: ModelLife, changes: list[ModelChange], answers: str | None, threshold: float | None
) -> dict[str, Any]:
    """Return what `appliance models list` shows, as plain values.

    `answers` is the sha256 of the model that the running service uses, None when that is not known; `threshold` is the
    site's, which goes before those of the versions, None without one.
    """
    stands = list_standing(changes)
    versions, unreadable = life.shelf.look()
    known = {change.served_as: _facts(change) for change in changes if change.sha256}
    there: list[ShelvedModel | UnreadableModel] = [*versions]
    there += [
        one if one.shipped else replace(one, facts=known.get(one.facts.served_as, one.facts)) for one in unreadable
    ]
    loaded_at = {server.address: server.list_loaded() for server in life.servers}
    loaded = loaded_at[life.servers[0].address]
    shadow = find_shadow(changes)
    wanted = next((one.facts for one in there if _is_wanted(one, stands)), _facts(stands[0]) if stands else None)
    proofs = (change for change in changes if change.event in _PROOFS and change.note != _STILL_THE_SHADOW)
    proven = {_facts(change): change.at for change in proofs}
    rows = [
        {
            "version": one.facts.version,
            "served_as": one.facts.served_as,
            "sha256": one.facts.sha256,
            "threshold": one.threshold if isinstance(one, ShelvedModel) else "",
            "threshold_in_force": _own_threshold(one) if threshold is None else threshold,
            "origin": "shipped" if one.shipped else "site",
            "promoted": one.facts == wanted,
            "shadow": shadow is not None and one.facts == _facts(shadow),
            "loaded": None if loaded is None else one.facts.served_as in loaded,
            "answers": None if answers is None else one.facts.sha256 == answers,
            "proven": iso(proven[one.facts]) if one.facts in proven else None,
            "engine": one.engine if isinstance(one, ShelvedModel) else None,
            "fault": f"{one.fault}; {one.remedy}" if isinstance(one, UnreadableModel) else None,
        }
        for one in there
    ]
    tritons = [
        {
            "address": address,
            "answers": names is not None,
            "loaded": [
                one.facts.version or one.facts.served_as for one in there if one.facts.served_as in (names or ())
            ],
        }
        for address, names in loaded_at.items()
    ]
    return {
        "answers_sha256": answers,
        "promoted": wanted.version if wanted else None,
        "versions": rows,
        "tritons": tritons,
    }
