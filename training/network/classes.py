# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The classes that the classifier head tells apart.

The paper's classes are no hemorrhage and the types. Here the first has parts with names of their own: things that are
often taken for blood. The head has a logit for each part, so that calcium and contrast agent need not lie on the same
side of one plane as the rest of the head. A type's score is its softmax over all logits, which is what it would be if
the parts' probabilities were first summed into "no hemorrhage": so the exported graph answers as the paper's.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from appliance.reading.contract import TYPES

SUMMED: Final = 1 + len(TYPES)
"""Classes that the contract knows: class 0 is "no hemorrhage", class i is `TYPES[i - 1]`, as in label volumes."""


class Named(IntEnum):
    """The parts of "no hemorrhage" with a name, by their class; class 0 is what has none."""

    CALCIFICATION = SUMMED
    TUMOUR = SUMMED + 1
    STAINING = SUMMED + 2
    VESSEL_OR_DURA = SUMMED + 3


CLASSES: Final = SUMMED + len(Named)
