# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How weights that know no named part of "no hemorrhage" become weights of all classes, with the same scores."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from training.network.classes import SUMMED, Named

UNNAMED_SHARE: Final = 0.5
"""How much of "no hemorrhage" stays without a name where weights know none; the parts share the rest evenly."""

_LOGITS: Final = "classifier/logits/vars"  # of a weights file: 0 is the kernel, 1 the bias
_OF_LOGITS: Final = "classifier/logits/", "classifier_logits_"  # in a checkpoint's names: variables, and Adam's


def widen(values: NDArray[Any], *, bias: bool) -> NDArray[Any]:
    """Return weights [..., 4] of the summed classes as weights [..., 8] of all: every type is given the score it had.

    Each part starts as a copy of "no hemorrhage"; where the values are the `bias`, lowered by the logarithm of its
    share, so that the parts sum to what there was.
    """
    parts = np.repeat(values[..., :1], len(Named), axis=-1)
    wide = np.concatenate([values, parts], axis=-1)
    if bias:
        wide[..., 0] += np.log(UNNAMED_SHARE)
        wide[..., SUMMED:] += np.log((1 - UNNAMED_SHARE) / len(Named))
    return wide


def widen_checkpoint(arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the arrays of a checkpoint, by name, with all classes; those that have them stay.

    Adam's moments of a part are those of "no hemorrhage".
    """
    return {
        name: widen(values, bias=name.endswith("logits/bias"))
        if any(part in name for part in _OF_LOGITS) and values.shape[-1:] == (SUMMED,)
        else values
        for name, values in arrays.items()
    }


@contextmanager
def with_all_classes(weights: Path) -> Iterator[Path]:
    """Yield a weights file (.weights.h5) that has all classes: the given one, or a widened copy of it."""
    if not h5py.is_hdf5(weights):
        yield weights  # whoever opens it will say what is wrong
        return
    with h5py.File(weights, "r") as file:
        narrow = _LOGITS in file and file[_LOGITS]["1"].shape == (SUMMED,)
    if not narrow:
        yield weights
        return
    with tempfile.TemporaryDirectory(prefix="all-classes-") as folder:
        wide = Path(folder) / "wide.weights.h5"
        shutil.copyfile(weights, wide)
        with h5py.File(wide, "r+") as file:
            of_logits = file[_LOGITS]
            for name in ("0", "1"):
                values = widen(of_logits[name][()], bias=name == "1")
                attributes = dict(of_logits[name].attrs)
                del of_logits[name]
                of_logits.create_dataset(name, data=values).attrs.update(attributes)
        yield wide
