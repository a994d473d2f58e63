# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The network and its training, on the simulator's studies.

Nothing in here runs at a hospital; of the service only `appliance.reading` is imported.
"""
