# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Words that SR and key images share. ASCII only: they stand beside names in the source's character set."""

from __future__ import annotations

from typing import Final

RESEARCH_USE: Final = "Research use only, trained on simulated scans. Not for diagnosis."
"""Stated wherever a person reads an answer, until a site has trained a model of its own."""


def millilitres(volume_ml: float) -> str:
    """Return a volume for people: one digit after the point, two figures when it is small."""
    return f"{volume_ml:.1f} mL" if volume_ml >= 1 else f"{volume_ml:.2g} mL"
