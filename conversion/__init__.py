# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""From trained weights to what Triton serves: ONNX (`export`), checked step by step (`checks`, `parity`), and the
model repository (`repository`). Nothing here runs in the appliance."""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # ONNX Runtime's wheels send usage to Microsoft unless they are told not to
