# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Records on disk and the run that makes those that are missing: stop it at any moment, start it again, it goes on.

A folder of records belongs to one model, one simulator, one set of criteria and one state of the code that judges; its
name is made of these, so that none is ever mixed with another's.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from appliance.reading.lesions import Criteria
from benchmarks.accuracy import record as records
from benchmarks.accuracy.conditions import Condition
from benchmarks.accuracy.network import Model, Network
from benchmarks.accuracy.reading import records_of
from benchmarks.accuracy.record import Record, record_name
from simulator.manifest import Entry
from simulator.revision import simulator_revision

PROJECT: Final = Path(__file__).parents[2]
_JUDGES: Final = ("causes", "conditions", "network", "reading", "record", "truth", "volume")
MADE_WITH: Final = "made_with.json"


@dataclass(frozen=True)
class Settings:
    """What every record of a folder hangs on."""

    model_sha256: str
    simulator: str
    threshold: float
    extend_score: float
    join_mm: float

    @classmethod
    def of(cls, model: Model, criteria: Criteria) -> Settings:
        """Return the settings of a run with this code."""
        judges = [Path(__file__).with_name(f"{name}.py") for name in _JUDGES]
        service = [*PROJECT.glob("appliance/findings/*.py"), *PROJECT.glob("appliance/reading/*.py")]
        return cls(model.identity.sha256, simulator_revision(sorted([*judges, *service])), **asdict(criteria))

    @property
    def key(self) -> str:
        """Sixteen digits that no other settings have."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


class Store:
    """The records of one run's settings below a folder."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.settings = settings
        self.folder = folder / "records" / settings.key
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / MADE_WITH).write_text(json.dumps(asdict(settings), indent=2) + "\n", encoding="utf-8")

    def record(self, entry: Entry, condition: Condition) -> Record | None:
        """Return the record of a study under a condition, None where there is none yet."""
        path = self.folder / f"{record_name(entry, condition.name)}.json"
        return records.read(path) if path.exists() else None

    def find_missing(
        self, entries: Sequence[Entry], conditions: Sequence[Condition]
    ) -> list[tuple[Entry, tuple[str, ...]]]:
        """Return the studies that lack records, with the conditions that they lack."""
        lacking = [(entry, tuple(c.name for c in conditions if not self._path(entry, c).exists())) for entry in entries]
        return [(entry, names) for entry, names in lacking if names]

    def picture(self, record: Record) -> Path:
        """Return where the slice of a misread study is."""
        return self.folder / f"{record.name}.png"

    def _path(self, entry: Entry, condition: Condition) -> Path:
        return self.folder / f"{record_name(entry, condition.name)}.json"

    def read_missing(
        self,
        work: Sequence[tuple[Entry, tuple[str, ...]]],
        model: Model,
        criteria: Criteria,
        *,
        workers: int = 1,
        threads: int = 1,
    ) -> Iterator[tuple[Entry, str | None]]:
        """Read studies and keep their records; yield each study when it is done, with what went wrong, or None.

        A study that fails is named and stops no other, and has no record: the next run tries it again.

        Parameters
        ----------
        work: studies, and the conditions to read each under.
        workers: processes; 1 reads in this one.
        threads: of ONNX Runtime in each.
        """
        if workers == 1:
            network = Network(model, threads)
            for entry, names in work:
                yield entry, _read(self.folder, entry, names, network, criteria)
            return
        coming = iter(work)
        running: dict[Future[str | None], Entry] = {}
        # Spawned: a forked child of a process whose ONNX Runtime has threads would hang.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_load, initargs=(model, threads)) as pool:
            try:
                while True:
                    for entry, names in islice(coming, workers + 1 - len(running)):
                        try:
                            running[pool.submit(_read_loaded, self.folder, entry, names, criteria)] = entry
                        except BrokenProcessPool as broken:  # a worker was killed, and the pool takes no more
                            yield entry, f"{type(broken).__name__}: {broken}"
                    if not running:
                        return
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        error = future.exception()
                        yield (
                            running.pop(future),
                            future.result() if error is None else f"{type(error).__name__}: {error}",
                        )
            finally:
                pool.shutdown(cancel_futures=True)


_loaded: dict[str, Any] = {}


def _load(model: Model, threads: int) -> None:
    """Load the network once in a worker."""
    _loaded["network"] = Network(model, threads)


def _read_loaded(folder: Path, entry: Entry, names: tuple[str, ...], criteria: Criteria) -> str | None:
    return _read(folder, entry, names, _loaded["network"], criteria)


def _read(folder: Path, entry: Entry, names: tuple[str, ...], network: Network, criteria: Criteria) -> str | None:
    """Read a study under conditions and keep its records; return what went wrong, or None."""
    failed = None
    for record in records_of(entry, names, network.read, criteria, folder):
        if record.error:
            failed = record.error
        else:
            records.write(record, folder)
    return failed
