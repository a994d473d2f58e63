# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Seeded head CTs with known blood: anatomy, hemorrhage, scanner, and the DICOM studies made of them.

`atlas` holds the derived anatomy, `anatomy` makes many heads of it, `blood` bleeds into them, `scanner` adds what the
machine adds, and `scan.simulate_scan` does all of it for one seed.
"""
