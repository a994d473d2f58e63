# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""One seed, one scan: a head, with or without blood, sampled on a stack of planes and seen by a scanner."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from appliance.reading.contract import HemorrhageType
from simulator.bleeding import simulate_head
from simulator.diagnosis import Diagnosis
from simulator.fields import stream
from simulator.geometry import ScanGeometry, draw_geometry
from simulator.head import SimulatedHead
from simulator.labels import volumes_ml
from simulator.population import TRAINING, Population
from simulator.scanner import Scanner


@dataclass(frozen=True)
class SimulatedScan:
    """A simulated series with its truth.

    Attributes
    ----------
    hu: int16 [Z, Y, X], contract orientation.
    labels: uint8 [Z, Y, X], 0 none, 1 iph, 2 edh_sdh, 3 sah.
    geometry: where the planes lie.
    volumes_ml: the volume of the labelled voxels of each type that is there.
    head: the head, for other series of the study.
    scanner: the scanner that saw it.
    """

    seed: int
    diagnosis: Diagnosis
    hu: NDArray[np.int16] = field(repr=False)
    labels: NDArray[np.uint8] = field(repr=False)
    geometry: ScanGeometry
    volumes_ml: dict[HemorrhageType, float]
    head: SimulatedHead = field(repr=False)
    scanner: Scanner


def simulate_scan(
    seed: int,
    diagnosis: Diagnosis | str,
    *,
    volume_ml: float | None = None,
    geometry: ScanGeometry | None = None,
    scanner: Scanner | None = None,
    population: Population = TRAINING,
) -> SimulatedScan:
    """Return the scan of a seed: the same head, scanner and mimics for each diagnosis.

    Parameters
    ----------
    diagnosis: iph, edh_sdh, sah or none.
    volume_ml: volume of the blood in labelled voxels; drawn from the paper's distribution by default.
    geometry, scanner: the seed's own by default.
    population: what head and scanner are drawn from.

    Raises
    ------
    ValueError
        If the diagnosis is none of the four.
    """
    geometry = geometry or draw_geometry(seed, population)
    scanner = scanner or Scanner.draw(stream(seed, "scanner"), population)
    head = simulate_head(seed, diagnosis, volume_ml=volume_ml, geometry=geometry, population=population)
    labels = head.labels(geometry)
    return SimulatedScan(
        seed=seed,
        diagnosis=Diagnosis(diagnosis),
        hu=head.render(geometry, scanner=scanner),
        labels=labels,
        geometry=geometry,
        volumes_ml=volumes_ml(labels, geometry),
        head=head,
        scanner=scanner,
    )
