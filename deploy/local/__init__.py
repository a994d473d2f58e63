# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Orthanc, Triton and the service as plain processes of one machine, for `make up`, the demo, tests and benchmarks."""
