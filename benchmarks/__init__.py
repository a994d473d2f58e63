# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Figures about the appliance: how accurate on simulated studies, how fast. Each is a command; none is a test."""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # ONNX Runtime's wheels send usage to Microsoft unless they are told not to
