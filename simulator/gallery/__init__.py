# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Pages of simulated slices to look at: by type, size, mimic, scanner, population and level, and pairs."""
