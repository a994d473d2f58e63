# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Figures about the appliance: how accurate on simulated studies, how fast. Each is a command; none is a test."""
