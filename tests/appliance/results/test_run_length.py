# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""RLE frames are what pydicom decodes them to, whatever the picture."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.pixels.decoders.rle import _rle_decode_frame

from appliance.results.run_length import run_length_frame


@pytest.mark.parametrize("shape", [(1, 1, 3), (640, 718, 3), (3, 257, 3), (300, 129, 1), (2000, 2, 3)], ids=str)
@pytest.mark.parametrize("values", [1, 2, 256])
def test_a_frame_decodes_to_the_picture(shape: tuple[int, int, int], values: int) -> None:
    picture = np.random.default_rng(values).integers(0, values, shape).astype(np.uint8)
    picture[: shape[0] // 2] = 7
    frame = run_length_frame(picture)
    assert len(frame) % 2 == 0
    decoded = np.frombuffer(_rle_decode_frame(frame, shape[0], shape[1], shape[2], 8), np.uint8)
    np.testing.assert_array_equal(decoded.reshape(shape[2], *shape[:2]), np.moveaxis(picture, 2, 0))
