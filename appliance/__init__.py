# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The hemorrhage appliance's service: it reads head CTs kept in an Orthanc and hands back DICOM answers."""

__version__ = "0.1.0"
