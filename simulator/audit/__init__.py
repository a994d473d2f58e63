# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The proof that simulated studies do not cheat: what betrays blood without being blood, and how near life they are.

A network learns whatever tells positives from negatives. The audit makes pairs of one head with and without blood, and
lets small classifiers try: on headers alone, on the image around the bleed. It measures tissue, noise and edges, and
sizes and types, against what is cited. A bar that is broken ends it with a status of its own.
"""
