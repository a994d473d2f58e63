# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A short run on a GPU that is available for some minutes: heads, batches and networks are made at the same time."""
