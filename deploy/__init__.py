# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Ways to put the appliance on machines; `deploy.local` is the one without containers."""
