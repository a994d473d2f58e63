# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How good a detector could be that makes no mistake: true blood through everything but the network.

The paper does not say how a slice's mask is cut into instances, which resolution the masks have or which anchors learn
what. `passage` takes the labels of a study through our answers to that, step by step; `cost` what the mask head
computes; `studies` where labels come from, `thin` the hardest that can be drawn; `figures` the means of many studies,
`table` their page. `python -m training.ceiling` prints it.
"""
