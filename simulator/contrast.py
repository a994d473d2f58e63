# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The same head after contrast agent: bright arteries first, all vessels and the dura minutes later.

Agent is added to the object, before any scanner. HU at about 120 kVp: cerebral arteries 250-450 at the peak, veins and
sinuses behind them (on timing: Bae, Radiology 2010); minutes later vessels of 100-180, dura 20-50 above its own. Brain
gains 2-5 HU, grey matter more than white, as its blood volume says (Axel, Radiology 1980). The figures are this
project's own, of the order that every angiography shows. Fresh blood takes up none.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import Final

import numpy as np

from simulator.fields import stream
from simulator.head import SimulatedHead
from simulator.mimics import Mimics
from simulator.mimics.contrast import ContrastInVessels

AGENT: Final = "contrast in vessels"
"""The mimic that stays in vessels from an earlier study, and here is given for this one."""


class Phase(StrEnum):
    """When after the injection the scan was made."""

    ARTERIAL = "arterial"
    DELAYED = "delayed"


def enhance(head: SimulatedHead, phase: Phase) -> SimulatedHead:
    """Return the head with contrast agent in it; its blood, shape and mimics stay."""
    anatomy = head.anatomy
    tissue = anatomy.tissue
    rng = stream(anatomy.seed, f"contrast {phase}")
    if phase is Phase.ARTERIAL:
        vessels = float(rng.uniform(250, 450))
        filled = replace(anatomy, tissue=replace(tissue, venous=vessels, grey=tissue.grey + 4, white=tissue.white + 2))
    else:
        agent = ContrastInVessels(float(rng.uniform(100, 180)))
        present = (*anatomy.mimics.without(AGENT).present, (AGENT, agent))
        filled = replace(anatomy, tissue=agent.thicken(tissue), mimics=Mimics(present))
    box = anatomy.cavity_box
    gain = np.maximum(filled.intracranial - anatomy.intracranial, 0) * anatomy.cavity
    hu = head.hu.copy()
    hu[box] += gain
    for blood in head.blood:
        z, y, x = (slice(int(low), int(low) + size) for low, size in zip(blood.low, blood.fraction.shape, strict=True))
        seen = tuple(slice(s.start - b.start, s.stop - b.start) for s, b in zip((z, y, x), box, strict=True))
        hu[z, y, x] -= np.clip(blood.fraction, 0, 1) * gain[seen]
    return replace(head, hu=hu, filled=filled.tissue)
