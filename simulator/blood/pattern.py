# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Which bleeds one head has: a main one of the type asked for, and others that come with it.

Rates are about those of the literature, for an emergency department rather than for surgical series. Spontaneous
parenchymal blood is deep in half, lobar in a third, cerebellar or in the brainstem in a tenth each at most (Qureshi et
al., N Engl J Med 2001); it breaks into a ventricle in 30-53 %, deep blood most often (Hallevi et al., Neurology 2008;
Trifan et al., Front Neurol 2019), and into the subarachnoid space in 13-40 %, lobar blood far more often than deep
(Maas et al., Stroke 2013). Contusions are multiple in half, mostly frontal and temporal, and come with subarachnoid
blood in half and subdural blood in a third (Gean, Imaging of Head Trauma, 1994). An epidural hematoma has another
lesion beside it in 30-50 %, an acute subdural one a contusion or subarachnoid blood in 15-50 % (Bullock et al.,
Neurosurgery 2006); subdural ones are bilateral in a tenth to a fifth. Aneurysmal blood reaches the ventricles in
30-50 % and the brain in 10-20 %; perimesencephalic bleeds are a tenth of all subarachnoid ones (van Gijn & Rinkel,
Brain 2001). Trauma is the commonest cause of subarachnoid blood, but fills some sulci; what fills more is aneurysmal.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from appliance.reading.contract import HemorrhageType
from simulator.blood.form import Bleed, Form

_RUPTURE_RATE: Final = {Form.DEEP: 0.45, Form.LOBAR: 0.15, Form.CEREBELLAR: 0.25, Form.BRAINSTEM: 0.25}
_RUPTURE_FROM_ML = 3.0
_EPIDURAL_RATE, _EPIDURAL_RATE_WITH_FRACTURE = 0.2, 0.75
_ALONE_BELOW_ML = 0.05  # what else there would be is more, and the head no longer one with a punctate bleed
_LARGEST_CONTUSION_ML = 18.0
_CONTUSION_RATE, _CONTUSION_RATE_WITH_FRACTURE = 0.28, 0.6


def draw_bleeds(
    kind: HemorrhageType,
    volume_ml: float,
    rng: np.random.Generator,
    *,
    fractured_side: float | None = None,
    companions: bool = True,
) -> tuple[Bleed, ...]:
    """Return the bleeds of a head, the main one first; those of the type asked for hold `volume_ml` together.

    Parameters
    ----------
    fractured_side: the side on which the skull is broken, None where it is whole: what is bled there is traumatic.
    companions: whether others come with the main one.
    """
    side = float(rng.choice([-1.0, 1.0]))
    drawn = {
        HemorrhageType.IPH: _parenchymal,
        HemorrhageType.EDH_SDH: _extraaxial,
        HemorrhageType.SAH: _subarachnoid,
    }[kind](volume_ml, side, rng, fractured_side)
    if companions and volume_ml >= _ALONE_BELOW_ML:
        return tuple(drawn)
    return (_alone(drawn[0], volume_ml),)


def _alone(bleed: Bleed, volume_ml: float) -> Bleed:
    return Bleed(bleed.form, volume_ml, bleed.side)


def _some(rng: np.random.Generator, main_ml: float, most_ml: float) -> float:
    """Return the volume of a companion: a twentieth to two thirds of the main bleed, `most_ml` at most."""
    return float(np.clip(main_ml * np.exp(rng.uniform(np.log(0.05), np.log(0.7))), 0.15, most_ml))


def _one_of(rng: np.random.Generator, shares: dict[Form, float]) -> Form:
    weights = np.array(list(shares.values()))
    return list(shares)[int(rng.choice(len(weights), p=weights / weights.sum()))]


def _parenchymal(volume_ml: float, side: float, rng: np.random.Generator, fractured_side: float | None) -> list[Bleed]:
    traumatic = rng.random() < (_CONTUSION_RATE if fractured_side is None else _CONTUSION_RATE_WITH_FRACTURE)
    if traumatic and volume_ml < 50:
        return _contusions(volume_ml, side if fractured_side is None else -fractured_side, rng)
    form = _one_of(
        rng,
        {
            Form.DEEP: 0.48,
            Form.LOBAR: 0.36,
            Form.CEREBELLAR: 0.1 if volume_ml < 30 else 0.0,
            Form.BRAINSTEM: 0.06 if volume_ml < 6 else 0.0,
        },
    )
    out = [Bleed(form, volume_ml, side)]
    if volume_ml > _RUPTURE_FROM_ML and rng.random() < _RUPTURE_RATE[form]:
        part = min(volume_ml * float(rng.uniform(0.06, 0.45)), 25.0)
        out = [
            Bleed(form, volume_ml - part, side, ruptured=True),
            Bleed(Form.VENTRICULAR, part, side),
        ]
    if volume_ml > 1 and rng.random() < {Form.LOBAR: 0.33, Form.CEREBELLAR: 0.15}.get(form, 0.03):
        out.append(Bleed(Form.SULCAL, _some(rng, volume_ml, 10), side))
    if volume_ml > 3 and rng.random() < (0.1 if form is Form.LOBAR else 0.01):
        out.append(Bleed(Form.CONVEXITY, _some(rng, volume_ml, 15), side))
    return out


def _contusions(volume_ml: float, side: float, rng: np.random.Generator) -> list[Bleed]:
    count = 1 if volume_ml < 0.02 else int(rng.choice([1, 2, 3, 4], p=[0.5, 0.27, 0.15, 0.08]))
    count = max(count, int(np.ceil(volume_ml / _LARGEST_CONTUSION_ML)))
    shares = np.sort(rng.dirichlet(np.full(count, 1.2 if volume_ml < _LARGEST_CONTUSION_ML else 6.0)))[::-1]
    shares = np.maximum(shares, 0.03) / np.maximum(shares, 0.03).sum()
    out = [Bleed(Form.CONTUSION, volume_ml * float(share), side if rng.random() < 0.7 else -side) for share in shares]
    if rng.random() < 0.5:
        out.append(Bleed(Form.SULCAL, _some(rng, max(volume_ml, 2), 12), out[0].side))
    if rng.random() < 0.3:
        out.append(Bleed(Form.CONVEXITY, _some(rng, max(volume_ml, 6), 30), float(rng.choice([-side, side]))))
    elif rng.random() < 0.1:
        out.append(Bleed(Form.EPIDURAL, _some(rng, max(volume_ml, 6), 20), -side))
    return out


def _extraaxial(volume_ml: float, side: float, rng: np.random.Generator, fractured_side: float | None) -> list[Bleed]:
    epidural = _EPIDURAL_RATE if fractured_side is None else _EPIDURAL_RATE_WITH_FRACTURE
    form = _one_of(
        rng,
        {
            Form.EPIDURAL: epidural,
            Form.CONVEXITY: 0.6,
            Form.FALX: 0.13 if volume_ml < 14 else 0.0,
            Form.TENTORIUM: 0.08 if volume_ml < 8 else 0.0,
        },
    )
    if form is Form.EPIDURAL and fractured_side is not None:
        side = fractured_side
    more: list[tuple[Form, float, float]] = []  # same type: form, share, side
    if form is Form.CONVEXITY:
        if rng.random() < 0.17:
            more.append((Form.CONVEXITY, float(rng.uniform(0.12, 0.48)), -side))
        if 3 < volume_ml < 80 and rng.random() < 0.18:
            more.append((Form.FALX, min(float(rng.uniform(0.04, 0.2)), 8 / volume_ml), side))
        if 3 < volume_ml < 80 and rng.random() < 0.15:
            more.append((Form.TENTORIUM, min(float(rng.uniform(0.04, 0.2)), 5 / volume_ml), side))
    elif form is Form.FALX and volume_ml > 1 and rng.random() < 0.3:
        more.append((Form.TENTORIUM, float(rng.uniform(0.15, 0.4)), side))
    elif form is Form.EPIDURAL and volume_ml > 4 and rng.random() < 0.1:
        more.append((Form.CONVEXITY, float(rng.uniform(0.1, 0.35)), -side))
    main = 1 - sum(share for _, share, _ in more)
    out = [Bleed(form, volume_ml * main, side)]
    out += [Bleed(other, volume_ml * share, where) for other, share, where in more]
    contusion = {Form.EPIDURAL: 0.3, Form.CONVEXITY: 0.22}.get(form, 0.08)
    if rng.random() < contusion:
        across = -side if rng.random() < 0.75 else side
        out.append(Bleed(Form.CONTUSION, _some(rng, max(volume_ml, 3), 12), across))
        if rng.random() < 0.35:
            out.append(Bleed(Form.CONTUSION, _some(rng, max(volume_ml, 3), 4), across))
    if rng.random() < {Form.EPIDURAL: 0.2, Form.CONVEXITY: 0.28}.get(form, 0.15):
        out.append(Bleed(Form.SULCAL, _some(rng, max(volume_ml, 3), 10), side if rng.random() < 0.6 else -side))
    return out


def _subarachnoid(volume_ml: float, side: float, rng: np.random.Generator, fractured_side: float | None) -> list[Bleed]:
    traumatic = fractured_side is not None and rng.random() < 0.7
    form = _one_of(
        rng,
        {
            Form.CISTERNAL: 0.05 if traumatic else 0.85 if volume_ml >= 15 else 0.55 if volume_ml >= 4 else 0.3,
            Form.PERIMESENCEPHALIC: 0.08 if volume_ml < 12 and not traumatic else 0.0,
            Form.SULCAL: 0.15 if volume_ml >= 15 else 0.37 if volume_ml >= 4 else 0.62,
        },
    )
    out = [Bleed(form, volume_ml, side)]
    if form is Form.SULCAL:
        if traumatic or (volume_ml > 0.5 and rng.random() < 0.6):
            if rng.random() < 0.4:
                out.append(Bleed(Form.CONTUSION, _some(rng, max(volume_ml, 2), 15), float(rng.choice([-side, side]))))
            if rng.random() < 0.3:
                out.append(Bleed(Form.CONVEXITY, _some(rng, max(volume_ml, 5), 25), float(rng.choice([-side, side]))))
        return out
    if volume_ml > 2 and rng.random() < (0.4 if form is Form.CISTERNAL else 0.2):
        out.append(Bleed(Form.VENTRICULAR, _some(rng, volume_ml, 12), side))
    if form is Form.CISTERNAL and volume_ml > 5 and rng.random() < 0.14:
        out.append(Bleed(Form.LOBAR, _some(rng, volume_ml, 20), side))
    if form is Form.CISTERNAL and volume_ml > 5 and rng.random() < 0.04:
        out.append(Bleed(Form.CONVEXITY, _some(rng, volume_ml, 15), side))
    return out
