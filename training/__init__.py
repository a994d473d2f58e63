# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What makes the network: the simulator its studies come from, the network itself and its training.

Nothing in here runs at a hospital; of the service only `appliance.reading.contract` is imported.
"""
