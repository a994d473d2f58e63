# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The paper's evaluation (Chang et al., AJNR 2018), on simulated studies: from a manifest to one report.

Studies are simulated as they are read and never kept. The shipped ONNX file reads them in this process, the service's
own code makes lesions and volumes of what it says, and one small record of each study stays on disk: a run that is
stopped goes on where it was, and a report is made from records alone.
"""
