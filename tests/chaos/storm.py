# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""One run of chaos: studies come while faults are made, then all is left in peace, then it is audited."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any, Final

from appliance.inference.regions import SHARED_MEMORY, region_prefix
from tests.chaos.audit import faults_of
from tests.chaos.bench import Bench
from tests.chaos.faults import FAULTS, faults_for
from tests.chaos.senders import Sent, send_study

SENDERS: Final = 3
_SENT_BY_S: Final = 1800.0
_SETTLED_BY_S: Final = 900.0
_MIB_A_STUDY: Final = 4.0
_DISK_MIB: Final = 480
"""The service is ready with 200 MB free, as a head CT may take so much."""


def run(studies: int, seed: int, gap_s: tuple[float, float] = (1.0, 8.0), only: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return what was seen, as plain JSON: `wrong` has an entry for each study that is not as it should be.

    `gap_s` is the shortest and longest time between two faults, `only` the faults that are made, each at least once.
    """
    random = Random(seed)
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    bench = Bench(folder, int(_DISK_MIB + _MIB_A_STUDY * studies))
    try:
        bench.up()
        known = faults_for(bench)
        storm = _Storm(bench, Random(seed + 1), gap_s, [name for name in known if not only or name in only])
        begun = _burden(bench)
        storm.thread.start()
        end = time.monotonic() + _SENT_BY_S
        with ThreadPoolExecutor(SENDERS) as senders:
            seeds = [Random(random.getrandbits(64)) for _ in range(studies)]
            sending = [
                senders.submit(send_study, bench.settings, folder / str(number), one, number, end)
                for number, one in enumerate(seeds)
            ]
            confirmed = [sent for sent in (one.result() for one in sending) if sent is not None]
        storm.end()
        calm = time.monotonic()
        settled = bench.wait_until(bench.has_settled, _SETTLED_BY_S)
        settled_s = time.monotonic() - calm
        seen = _audit(bench, confirmed)
        restarts = {name: one.restarts for name, one in bench.seen().items()}
        ended = _burden(bench)
    finally:
        bench.down()
    left = [file.name for file in SHARED_MEMORY.iterdir() if file.name.startswith(region_prefix(bench.settings.triton))]
    shutil.rmtree(folder, ignore_errors=True)
    return {
        "seed": seed,
        "studies": studies,
        "confirmed": len(confirmed),
        "senders": dict(Counter(sent.sender for sent in confirmed)),
        "faults": dict(storm.made),
        "faults_not_made_here": sorted(set(FAULTS) - set(known)),
        "restarts": restarts,
        "settled": settled,
        "settled_after_s": round(settled_s, 1),
        "memory_mib": [begun["memory_mib"], ended["memory_mib"]],
        "descriptors": [begun["descriptors"], ended["descriptors"]],
        "shared_memory_left": left,
        **seen,
    }


class _Storm:
    """Makes faults, one after another, each of the list once before any is made again."""

    def __init__(self, bench: Bench, random: Random, gap_s: tuple[float, float], names: list[str]) -> None:
        self.made: Counter[str] = Counter()
        self.thread = threading.Thread(target=self._make, args=(bench, random, gap_s, names))
        self._over = threading.Event()

    def _make(self, bench: Bench, random: Random, gap_s: tuple[float, float], names: list[str]) -> None:
        known = faults_for(bench)
        while True:
            for name in random.sample(names, len(names)):
                time.sleep(random.uniform(*gap_s))
                if self._over.is_set() and self.made.total() >= len(names):
                    return
                known[name](bench, random)
                self.made[name] += 1

    def end(self) -> None:
        """Make what is left of the first round, and no more."""
        self._over.set()
        self.thread.join()


def _audit(bench: Bench, confirmed: list[Sent]) -> dict[str, Any]:
    told = {study["study_uid"]: study for study in bench.status()["studies"]}
    wrong = {sent.uid: found for sent in confirmed if (found := faults_of(bench, sent, told.get(sent.uid)))}
    kinds = Counter(fault.partition(":")[0] for found in wrong.values() for fault in found)
    return {
        "answered": sum(study["state"] == "done" for study in told.values()),
        "refused": sum(study["state"] == "refused" for study in told.values()),
        **{kind: kinds[kind] for kind in ("lost", "twice", "unsaid", "wrong", "part", "orphan")},
        "wrong_studies": wrong,
    }


def _burden(bench: Bench) -> dict[str, Any]:
    """Return the memory (MiB) and the descriptors of the service's process, which faults may have started anew."""
    pid = bench.pid("service")
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return {"memory_mib": round(pages * 4096 / 2**20), "descriptors": len(list(Path(f"/proc/{pid}/fd").iterdir()))}
