# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What Triton runs at once is what a service has under way at once."""

from __future__ import annotations

from appliance.inference import stream
from conversion.repository import GPU_DATACENTRE, INSTANCES


def test_the_profile_for_a_large_card_has_an_instance_for_each_chunk_under_way_and_none_that_idles() -> None:
    assert INSTANCES[GPU_DATACENTRE] == stream._LANES
