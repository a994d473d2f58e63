# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Comparisons with a prior head CT, to write down."""

from __future__ import annotations

from pydicom.uid import Comprehensive3DSRStorage

from appliance.findings.change import Comparison, HeadScan, PriorScan, compare


def scan(partial: bool = False, model: str = "aa", **volumes: float) -> HeadScan:
    """Return a scan with these volumes by type, mL."""
    lesions = [{"type": kind, "volume_ml": ml} for kind, ml in volumes.items()]
    coverage = {"partial": partial}
    return HeadScan.of_answer(
        {"present": bool(volumes), "lesions": lesions, "coverage": coverage, "model": {"sha256": model}}
    )


def compared(
    then: HeadScan, now: HeadScan, hours: float = 6.5, to_the_day: bool = False, report_uid: str = "2.25.42"
) -> Comparison:
    """Return the comparison of two scans."""
    scanned = "2026-02-28" if to_the_day else "2026-02-28T23:15:00"
    prior = PriorScan("2.25.41", Comprehensive3DSRStorage, report_uid, 3, then.outcome, scanned)
    return Comparison(prior, hours, to_the_day, compare(then, now))
