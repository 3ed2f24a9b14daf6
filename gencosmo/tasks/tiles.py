"""What a detector says of the tiles of an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gencosmo.anomaly.calibration import Judged, Sample

__all__ = ["TileScores", "tile_scores"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TileScores(Judged):
    """Scores of the tiles of one image.

    Attributes
    ----------
    channel, row, col, height, width : ndarray of int (n,)
        Where the tiles are.
    score : ndarray (n,)
        All views combined, in nats beyond the strangest normals, higher = more abnormal; NaN where a tile was hardly
        scored.
    p_value : ndarray (n,)
    extrapolated : ndarray of bool (n,)
        Below what counting can tell.
    outside : ndarray of bool (n,)
        Nuisances beyond those of the normals: the p-value is a guess.
    views : mapping of str to ndarray (n,)
        p-value of each view.
    margins : mapping of str to ndarray (n,)
        By how many nats each view is more surprised than by the strangest normals; the highest decides the score.
    peak : ndarray (n,)
        Largest absolute deviation on the map.
    """

    channel: NDArray[np.int64]
    row: NDArray[np.int64]
    col: NDArray[np.int64]
    height: NDArray[np.int64]
    width: NDArray[np.int64]
    peak: Array

    def image_score(self) -> tuple[float, float]:
        """Score of the most abnormal tile, and the probability of one so abnormal among this many (Sidak 1967)."""
        if not np.isfinite(self.score).any():
            return float("nan"), float("nan")
        least, count = float(np.nanmin(self.p_value)), int(np.isfinite(self.p_value).sum())
        return float(np.nanmax(self.score)), float(-np.expm1(count * np.log1p(-min(least, 1 - 1e-12))))


def tile_scores(sample: Sample, judged: Judged, mine: NDArray[np.bool_]) -> TileScores:
    """Scores of some of the tiles that a calibration has judged."""
    places = zip(("channel", "row", "col", "height", "width"), sample.place[mine].T, strict=True)
    return TileScores(**vars(judged.take(mine)), **dict(places), peak=sample.peak[mine])
