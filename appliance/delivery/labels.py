# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Labels in an Orthanc that has them (from 1.12 on): what its explorer shows and searches for."""

from __future__ import annotations

from collections.abc import Iterable

from appliance.orthanc import Orthanc


def set_labels(orthanc: Orthanc, resource: str, wanted: Iterable[str], own: Iterable[str]) -> None:
    """Let `studies/ID` or `series/ID` have the labels that are wanted, and none of our `own` beside them.

    The labels of others stay. Nothing happens in an Orthanc without labels.
    """
    if not orthanc.has_labels():
        return
    chosen = set(wanted)
    there = orthanc.labels(resource)
    for label in sorted(chosen - there):
        orthanc.set_label(resource, label)
    for label in sorted((set(own) - chosen) & there):
        orthanc.remove_label(resource, label)
