"""How much a tile is like one kind of known anomaly, and unlike every normal: a matched filter, and trees beside it.

The filter adds up what the kind does to the figures, and goes on rising with its strength; it cannot tell a streak
from the spikes of a saturated star. Trees can: they were taught by the normals themselves against the same normals
with the anomaly staged in them, so a normal that is odd in its own way speaks against the kind. Log-odds of trees end
where all agree. Together they do both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.anomaly.density import Density, fit_filter
from gencosmo.anomaly.forest import Forest, fit_forest

__all__ = ["LEAST_TAUGHT", "Likeness", "fit_likeness"]

Array = NDArray[np.float64]
LEAST_TAUGHT = 30
"""Normals, and tiles with the anomaly in them, without which trees are not grown."""
FILTER_NATS = 0.2
"""Nats for each spread that the filter's answer lies above that of a normal."""


@dataclass(frozen=True, eq=False)
class Likeness:
    """A filter and a forest for one kind.

    Attributes
    ----------
    matched : Density
        The filter, in spreads of the normals.
    centre : ndarray (1,)
        Its answer to half of the normals.
    forest : Forest
        Of the filter's answer, the figures and what they are judged given.
    """

    matched: Density
    centre: Array
    forest: Forest

    def score(self, figures: Array, given: Array) -> Array:
        """Log-odds against the normals (n,), in nats: those of the trees, and a share of the filter's answer.

        Parameters
        ----------
        figures : ndarray (n, d)
        given : ndarray (n, q)
            What the figures are judged given.
        """
        along = self.matched.score(figures, given) - self.centre[0]
        found: Array = self.forest.log_odds(_asked(along, figures, given)) + FILTER_NATS * along
        return found

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All fields by name."""
        parts: dict[str, NDArray[Any]] = {"centre": self.centre}
        for name, part in (("matched", self.matched), ("forest", self.forest)):
            parts |= {f"{name}.{key}": values for key, values in part.arrays().items()}
        return parts

    @classmethod
    def of_arrays(cls, arrays: dict[str, NDArray[Any]]) -> Likeness:
        """From what :meth:`arrays` gave."""
        matched = Density(**{name: arrays[f"matched.{name}"] for name in Density.__dataclass_fields__})
        forest = Forest(**{name: arrays[f"forest.{name}"] for name in Forest.__dataclass_fields__})
        return cls(matched, arrays["centre"], forest)


def fit_likeness(figures: Array, given: Array, staged: Array, staged_given: Array, seed: int = 0) -> Likeness:
    """Fit the filter of a kind, and teach trees what it looks like.

    Parameters
    ----------
    figures : ndarray (n, d)
        Of normals.
    given : ndarray (n, q)
    staged : ndarray (s, d)
        Of normals in which the anomaly was staged.
    staged_given : ndarray (s, q)
    seed : int
        Of the trees.
    """
    matched = fit_filter(figures, given, staged, staged_given)
    plain, moved = matched.score(figures, given), matched.score(staged, staged_given)
    centre = float(np.median(plain))
    forest = fit_forest(_asked(plain - centre, figures, given), _asked(moved - centre, staged, staged_given), seed)
    return Likeness(matched, np.array([centre]), forest)


def _asked(along: Array, figures: Array, given: Array) -> Array:
    """What the trees may ask (n, 1 + d + q); stretched, so that a limit halfway between two normals means something."""
    return np.column_stack([along, np.arcsinh(figures), given])
