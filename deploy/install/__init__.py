# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Installs the appliance on a hospital's Debian 12, upgrades it and takes it away; `deploy/install.sh` calls it."""
