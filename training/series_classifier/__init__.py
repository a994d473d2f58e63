# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The series classifier: a small network that recognises what a series is, from thumbnails of three of its slices."""
