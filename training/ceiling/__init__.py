# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How good a detector could be that makes no mistakes: true blood through everything except the network.

The paper does not say how a slice's mask is cut into instances, which resolution the masks have or which anchors learn
what. `passage` takes the labels of a study through our answers to that, step by step. `cost` computes the work of the
mask head, `studies` provides labels, and `thin` draws the hardest ones; `figures` has the means of many studies,
`table` their page. `python -m training.ceiling` prints it.
"""
