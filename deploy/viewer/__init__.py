# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The OHIF viewer, which a site may have the service show: fetched, checked, and laid out."""
