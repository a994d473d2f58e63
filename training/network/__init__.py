# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The paper's network (Chang et al., AJNR 2018): a hybrid 3D/2D feature-pyramid mask R-CNN in Keras 3.

Each box of the paper's Figures 1 and 2 is a file here: `backbone` (the 3D contracting arm), `feature_pyramid`
(the 2D expanding arm), `anchors`, `rpn` (region proposals), `nms`, `roi_align`, `heads` (classifier, mask);
`detector` puts them together in the order of the paper. Everything at the border (names, shapes, counts) comes
from `appliance.reading.contract`. Training lives one folder up, and nothing here needs the service.
"""
