"""What share of the surfaces through the neighbours belongs into the means of an image, found where the truth is known.

Least squares of what the means miss over what both surfaces lie beyond them (stacked regression: Breiman 1996; no
weight is negative), apart for pixels of which the prior is sure and of which it is not: at the edge of a frame a
surface runs away where the prior does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["LEAST", "NO_SHARES", "Hidden", "Shares", "fit_shares"]

Array = NDArray[np.float64]
DOUBT = 600.0
"""Hidden pixels that the prior's own mean counts for."""
LEAST = 30
"""With fewer hidden pixels the prior's own answer stands."""
REACH = 3.0
"""Deviations beyond so many standard deviations pull by their size, no longer by its square."""
ENDS = (0.5, 0.9)
"""Points of the hidden pixels' standard deviations at which shares are fitted; between them they change evenly."""


@dataclass(frozen=True)
class Hidden:
    """Hidden pixels of one channel: predicted mean and standard deviation, both surfaces, and the truth, each (n,)."""

    mean: Array
    std: Array
    base: Array
    smooth: Array
    truth: Array

    @classmethod
    def of(cls, rows: Sequence[Array]) -> Hidden:
        """From rows (5, n) of several pieces."""
        return cls(*np.concatenate([np.zeros((5, 0)), *rows], axis=1))


@dataclass(frozen=True)
class Shares:
    """Of the rows ``base`` and ``smooth`` of a canvas in the means; the rest is the prior's.

    Attributes
    ----------
    sure, unsure : (float, float)
        Where the standard deviation is at most the first end, and at least the second.
    ends : (float, float, float)
        Standard deviations, in flux; shares fall beyond the third, as its square, for nothing was seen there.
    """

    sure: tuple[float, float]
    unsure: tuple[float, float]
    ends: tuple[float, float, float]

    def moved(self, mean: Tensor, std: Tensor, base: Tensor, smooth: Tensor) -> Tensor:
        """Means with their shares of the surfaces; where there are none, and where nothing is unknown, as they are."""
        unsure = ((std - self.ends[0]) / (self.ends[1] - self.ends[0])).clamp(0, 1)
        seen = (self.ends[2] / std).clamp(max=1).square()
        parts = [seen * (a + (b - a) * unsure) for a, b in zip(self.sure, self.unsure, strict=True)]
        more = parts[0] * (base - mean) + parts[1] * (smooth - mean)
        return torch.where((std > 0) & torch.isfinite(more), mean + more, mean)

    def told(self) -> list[float]:
        """All four shares, those of sure pixels first."""
        return [*self.sure, *self.unsure]


NO_SHARES = Shares((0.0, 0.0), (0.0, 0.0), (1.0, 2.0, 3.0))


def fit_shares(seen: Hidden) -> Shares:
    """Fit the shares; a pixel weighs by its squared error, less where the prior is unsure of it."""
    if seen.truth.size < LEAST or not (seen.std > 0).all():
        return NO_SHARES
    low, high = np.quantile(seen.std, ENDS)
    high = max(high, low * (1 + 1e-6))
    beyond = np.stack([np.nan_to_num(row - seen.mean) for row in (seen.base, seen.smooth)], axis=1)
    missed = seen.truth - seen.mean
    pull = 1 / (np.maximum(1, np.abs(missed) / (REACH * seen.std)) * seen.std)
    unsure = np.clip((seen.std - low) / (high - low), 0, 1)
    sure, other = (_solved(beyond, missed, pull, part) for part in (1 - unsure, unsure))
    return Shares(sure, other, (float(low), float(high), float(seen.std.max())))


def _solved(beyond: Array, missed: Array, pull: Array, part: Array) -> tuple[float, float]:
    """Weighted least squares with shares of at least 0, together at most 1; `part` says how much of a pixel counts."""
    pull = pull * part
    square, along = (beyond * pull[:, None]).T @ beyond, (beyond * pull[:, None]).T @ missed
    if not np.trace(square) > 0:
        return 0.0, 0.0
    square += np.eye(2) * (DOUBT * np.trace(square) / (2 * max(1.0, part.sum())))
    best, gain = np.zeros(2), 0.0
    for chosen in ([0, 1], [0], [1]):
        shares = np.zeros(2)
        shares[chosen] = np.linalg.solve(square[np.ix_(chosen, chosen)], along[chosen])
        if (shares < 0).any():
            continue
        shares /= max(1.0, float(shares.sum()))
        value = float(shares @ along - 0.5 * shares @ square @ shares)
        if value > gain:
            best, gain = shares, value
    return float(best[0]), float(best[1])
