"""Trees that were taught to tell two sets of features apart, as plain arrays: no pickle, evaluated by numpy.

scikit-learn grows them (extremely randomised trees: Geurts et al. 2006). A tree asks one feature after the other, so
it can say what no weighted sum can: a straight line, and no saturated star.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.anomaly.density import scikit

__all__ = ["Forest", "fit_forest"]

Array = NDArray[np.float64]
TREES = 100
LEAST_LEAF = 2
"""Tiles in a leaf, at least."""
TRIED = 0.4
"""Share of the features that are tried at each branch."""
DOUBT = 3e-3
"""Added to both probabilities: a hundred trees that agree do not make a certainty."""
SEEDS = 1 << 32
"""As many seeds scikit-learn has."""
MOST = 2000
"""Tiles of either set that teach the trees; of more, so many are drawn."""


@dataclass(frozen=True, eq=False)
class Forest:
    """Trees, their nodes one after the other.

    Attributes
    ----------
    roots : ndarray of int32 (t,)
        First node of every tree.
    feature : ndarray of int16 (m,)
        Which feature a node asks; -1 = a leaf.
    limit : ndarray of float32 (m,)
        The feature's limit; of a leaf, the probability of the second set.
    below, above : ndarray of int32 (m,)
        The next node where the feature is at most the limit, and where it is more; a leaf is its own.
    """

    roots: NDArray[np.int32]
    feature: NDArray[np.int16]
    limit: NDArray[np.float32]
    below: NDArray[np.int32]
    above: NDArray[np.int32]

    def log_odds(self, features: Array) -> Array:
        """Natural log of the odds of the second set (n,), from features (n, d), each set as likely beforehand."""
        values = np.asarray(features, np.float32)
        node = np.tile(self.roots, (len(values), 1))
        rows = np.arange(len(values))[:, None]
        while True:
            asked = self.feature[node]
            if (asked < 0).all():
                break
            lower = values[rows, np.maximum(asked, 0)] <= self.limit[node]
            node = np.where(lower, self.below[node], self.above[node])
        chance = self.limit[node].astype(np.float64).mean(axis=1)
        found: Array = np.log(chance + DOUBT) - np.log(1 - chance + DOUBT)
        return found

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All fields by name."""
        return {name: np.ascontiguousarray(getattr(self, name)) for name in self.__dataclass_fields__}


def fit_forest(first: Array, second: Array, seed: int = 0) -> Forest:
    """Grow trees that tell the second set of features from the first.

    Parameters
    ----------
    first, second : ndarray (n, d), (s, d)
        Each set has the same weight, however many it holds.
    seed : int
    """
    rng = np.random.default_rng(seed)
    first, second = (x[np.sort(rng.permutation(len(x))[:MOST])] for x in (first, second))
    grown = scikit("ensemble").ExtraTreesClassifier(
        TREES, min_samples_leaf=LEAST_LEAF, max_features=TRIED, class_weight="balanced", random_state=seed % SEEDS
    )
    grown.fit(np.concatenate([first, second]), np.repeat([0, 1], [len(first), len(second)]))
    starts = np.cumsum([0, *(one.tree_.node_count for one in grown.estimators_)])
    parts = [_nodes(one.tree_, int(start)) for one, start in zip(grown.estimators_, starts[:-1], strict=True)]
    feature, limit, below, above = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Forest(starts[:-1].astype(np.int32), feature, limit, below, above)


def _nodes(tree: Any, start: int) -> tuple[NDArray[Any], ...]:
    """Feature, limit, and next nodes of a tree whose first node gets the number `start`."""
    leaf = tree.children_left < 0
    shares = tree.value[:, 0, :]
    chance = shares[:, 1] / shares.sum(axis=1)
    own = np.arange(tree.node_count)
    below, above = (np.where(leaf, own, near) + start for near in (tree.children_left, tree.children_right))
    return (
        np.where(leaf, -1, tree.feature).astype(np.int16),
        np.where(leaf, chance, tree.threshold).astype(np.float32),
        below.astype(np.int32),
        above.astype(np.int32),
    )
