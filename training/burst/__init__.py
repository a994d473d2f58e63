# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A short run on a GPU that is at hand for some minutes: heads are made, batches drawn and networks trained at once."""
