# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Trains the series classifier for some minutes, and writes its weights with their provenance beside them."""

from __future__ import annotations

import datetime
import json
import time
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray

from appliance.reading.series import CLASSES
from training.provenance import git_revision
from training.series_classifier.batches import batches, middle_three
from training.series_classifier.examples import load_examples
from training.series_classifier.network import series_network

BATCH: Final = 36
RATE: Final = 2e-3
SMOOTHING: Final = 0.03
"""What the labels leave to the other classes, so that the network does not learn to be surer than it can be."""


def train(
    folder: Path, seeds: range, validation: range, *, steps: int, seed: int, out: Path, command: str = ""
) -> dict[str, Any]:
    """Train on the examples of `seeds`, validate on those of `validation`; write and return the provenance."""
    begun = time.monotonic()
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    there = [one for one in seeds if (folder / f"{one}.npz").exists()]  # now: more may be made meanwhile
    thumbnails, classes, kinds = load_examples(folder, seeds)
    network = series_network()
    rate = keras.optimizers.schedules.CosineDecay(RATE, steps, warmup_target=RATE, warmup_steps=min(50, steps // 4))
    network.compile(
        keras.optimizers.Adam(rate),
        keras.losses.CategoricalCrossentropy(label_smoothing=SMOOTHING),
    )
    one_hot = np.eye(len(CLASSES), dtype=np.float32)
    losses: list[float] = []
    for step, (shown, wanted) in enumerate(batches(thumbnails, classes, BATCH, rng), start=1):
        losses.append(float(network.train_on_batch(shown, one_hot[wanted])))
        if step % 100 == 0:
            print(f"step {step}: loss {np.mean(losses[-100:]):.3f}, {time.monotonic() - begun:.0f} s", flush=True)
        if step == steps:
            break
    found = _validate(network, *load_examples(folder, validation))
    origin = {
        "command": command,
        "data": "thumbnails of simulated series (simulator); no scan of a person was used",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "git_revision": git_revision(),
        "training_seeds": [there[0], there[-1]],
        "training_heads": len(there),
        "training_series": len(kinds),
        "steps": steps,
        "batch": BATCH,
        "rate": RATE,
        "seed": seed,
        "minutes": round((time.monotonic() - begun) / 60, 1),
        "loss": round(float(np.mean(losses[-100:])), 4),
        "validation": found,
        "use": "research use, trained on simulated scans; not a medical device",
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    network.save_weights(out)
    out.with_name(out.name.replace(".weights.h5", ".json")).write_text(json.dumps(origin, indent=2) + "\n")
    print(json.dumps(found, indent=2))
    return origin


def _validate(
    network: keras.Model, thumbnails: NDArray[np.uint8], classes: NDArray[np.int64], kinds: NDArray[np.str_]
) -> dict[str, Any]:
    """Return how many series of each kind are right, and which were taken for what."""
    probabilities = np.asarray(network.predict(middle_three(thumbnails), verbose=0))
    answers = probabilities.argmax(axis=1)
    wrong = [
        f"{kind} taken for {CLASSES[answer]} ({probability:.2f})"
        for kind, wanted, answer, probability in zip(kinds, classes, answers, probabilities.max(axis=1), strict=True)
        if wanted != answer
    ]
    return {
        "series": len(kinds),
        "right": int((answers == classes).sum()),
        "by_kind": {
            str(kind): [int(((answers == classes) & (kinds == kind)).sum()), int((kinds == kind).sum())]
            for kind in np.unique(kinds)
        },
        "wrong": sorted(wrong),
    }
