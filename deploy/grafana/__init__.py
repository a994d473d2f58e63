# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The Grafana dashboard: its panels as code, the file that Grafana imports, and its picture."""
