# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The file that a detector's weights are kept in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from training.network.detector import Detector


def store_weights(detector: Detector, path: Path) -> None:
    """Write a detector's weights to `path` (.weights.h5), small, and load the written values into the detector.

    Kernels are stored in half precision: rounding them changes scores in the fourth place. Because the detector loads
    the rounded ones, what is validated and exported afterwards is what the file holds.
    """
    whole = path.with_name(f".whole-{path.name}")
    detector.save_weights(whole)
    with h5py.File(whole, "r") as full, h5py.File(path, "w") as small:
        small.attrs.update(full.attrs)

        def copy_value(name: str, item: Any) -> None:
            if isinstance(item, h5py.Group):
                small.require_group(name).attrs.update(item.attrs)
            else:
                values = item[()]
                kernel = values.ndim > 1
                small.create_dataset(
                    name,
                    data=values.astype(np.float16) if kernel else values,
                    compression="gzip" if kernel else None,
                    shuffle=kernel or None,
                ).attrs.update(item.attrs)

        full.visititems(copy_value)
    whole.unlink()
    detector.load_weights(path)
