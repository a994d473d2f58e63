# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Small classifiers that try to tell who bleeds from a table of features, and how far from 0.5 chance alone takes them.

Two try: a logistic regression, which adds small hints up, and boosted trees, which find rules and what is missing. They
are cross-validated with all studies of one head in one fold: neither ever sees the twin of a head it is asked about.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, RobustScaler

Features = Mapping[str, float | str]
"""One study's features by name; text is a category, and a feature that a study has not is missing."""

FOLDS: Final = 5
REPEATS: Final = 3
_RELABELLINGS: Final = 400
_CATEGORIES: Final = 12  # more are told apart by the commonest alone


@dataclass(frozen=True)
class Trial:
    """What one classifier reached.

    Attributes
    ----------
    auc: cross-validated area under the ROC curve.
    by_chance: standard deviation of that area were blood dealt to the same studies by chance.
    hints: the features that tell most on their own, each with its own area.
    """

    classifier: str
    auc: float
    by_chance: float
    hints: tuple[tuple[str, float], ...]


def trials(studies: Sequence[Features], bleeds: NDArray[np.bool_], heads: NDArray[np.int64]) -> list[Trial]:
    """Return what each classifier reaches in telling who bleeds.

    Parameters
    ----------
    studies: the features of each study.
    bleeds: bool [N], who bleeds.
    heads: int [N], whose head it is: a pair of studies shares one.
    """
    table, names = encode(studies)
    telling = _hints(table, names, bleeds)
    found = []
    for name, make in _CLASSIFIERS.items():
        scores = _scores(table, bleeds, heads, make)
        auc = float(np.mean([roc_auc_score(bleeds, one) for one in scores]))
        found.append(Trial(name, auc, spread_by_chance(scores.mean(axis=0), bleeds, heads), telling))
    return found


def encode(studies: Sequence[Features]) -> tuple[NDArray[np.float64], list[str]]:
    """Return the features as a table [N, F] with the names of its columns.

    Every feature that some studies lack has a column that says so, and counts as the median of the others there; a
    category has a column for each of its values.
    """
    columns: dict[str, NDArray[np.float64]] = {}
    for name in sorted({name for study in studies for name in study}):
        values = [study.get(name) for study in studies]
        there = np.array([value is not None and value == value for value in values])
        if not there.all():
            columns[f"{name} is there"] = there.astype(float)
        texts = [value for value in values if isinstance(value, str)]
        if texts:
            kinds, counts = np.unique(texts, return_counts=True)
            for kind in kinds[np.argsort(-counts, kind="stable")][:_CATEGORIES]:
                columns[f"{name} is {kind}"] = np.array([value == kind for value in values], float)
        else:
            numbers = np.array([np.nan if value is None else value for value in values], float)
            columns[name] = np.where(there, numbers, np.median(numbers[there]) if there.any() else 0.0)
    varying = {name: column for name, column in columns.items() if len(np.unique(column)) > 1}
    if not varying:
        return np.zeros((len(studies), 1)), ["nothing differs"]
    return np.column_stack(list(varying.values())), list(varying)


def spread_by_chance(scores: NDArray[np.float64], bleeds: NDArray[np.bool_], heads: NDArray[np.int64]) -> float:
    """Return the standard deviation of the area when it is chance who bleeds.

    In pairs either of the two may be the one; studies of single heads are shuffled among one another.
    """
    rng = np.random.default_rng(0)
    order = np.lexsort((bleeds, heads))
    paired = len(heads) == 2 * len(np.unique(heads))
    dealt = np.empty((_RELABELLINGS, len(bleeds)), bool)
    for one in dealt:
        if paired:
            first = rng.random(len(bleeds) // 2) < 0.5
            one[order[0::2]], one[order[1::2]] = first, ~first
        else:
            one[:] = rng.permutation(bleeds)
    return float(np.std(_areas(dealt, rankdata(scores))))


def _areas(bleeds: NDArray[np.bool_], ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the area under the ROC curve [...] of every row of `bleeds` [..., N] and `ranks` [..., N].

    The area is Mann and Whitney's U (Hanley & McNeil, Radiology 1982). One ranking serves hundreds of relabellings,
    where scikit-learn would sort the scores for each.
    """
    positive = np.count_nonzero(bleeds, axis=-1)
    negative = bleeds.shape[-1] - positive
    above = np.sum(bleeds * ranks, axis=-1) - positive * (positive + 1) / 2
    return np.asarray(above / (positive * negative))


def _scores(
    table: NDArray[np.float64], bleeds: NDArray[np.bool_], heads: NDArray[np.int64], make: Callable[[int], Any]
) -> NDArray[np.float64]:
    """Return the score of every study by a classifier that did not see its head, [repeats, N]."""
    scores = np.zeros((REPEATS, len(table)))
    for repeat in range(REPEATS):
        folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=repeat)
        for seen, asked in folds.split(table, bleeds, heads):
            model = make(repeat).fit(table[seen], bleeds[seen])
            scores[repeat, asked] = model.predict_proba(table[asked])[:, 1]
    return scores


def _logistic(repeat: int) -> Any:
    """Return an untrained logistic regression."""
    return make_pipeline(
        RobustScaler(quantile_range=(5, 95)),
        FunctionTransformer(_within_reach),
        LogisticRegression(C=0.3, max_iter=2000, random_state=repeat),
    )


def _trees(repeat: int) -> Any:
    """Return untrained boosted trees."""
    return HistGradientBoostingClassifier(
        max_iter=60, max_depth=3, learning_rate=0.1, min_samples_leaf=10, random_state=repeat
    )


def _within_reach(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a scaled table with far outliers brought in."""
    return np.clip(table, -5, 5)


_CLASSIFIERS: Final[dict[str, Callable[[int], Any]]] = {"logistic regression": _logistic, "boosted trees": _trees}


def _hints(
    table: NDArray[np.float64], names: Sequence[str], bleeds: NDArray[np.bool_], most: int = 3
) -> tuple[tuple[str, float], ...]:
    """Return the columns that tell most on their own, with their areas."""
    areas = _areas(bleeds, rankdata(table.T, axis=-1)).tolist()
    return tuple(sorted(zip(names, areas, strict=True), key=lambda one: -abs(one[1] - 0.5))[:most])
