"""A set of images in order, each judged by the others: no normals are known, and there may be few images.

Counting tells little of sixteen: the strangest in any view is one of sixteen, however strange. So in a small set each
image is judged by densities of all others, its score in every view by its distance from the median of the set, in
robust spreads and with the tail of a Student-t, and the views are combined by their p-values. Known kinds are left to
their filters: trees would have to be grown once for every image, and would learn little from so few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from gencosmo.anomaly.calibration import Calibration
from gencosmo.anomaly.combination import combine_surprises, least_shape, weights_of
from gencosmo.tasks.detector import AnomalyDetector
from gencosmo.tasks.few import shape_of

__all__ = ["SMALL", "judge_each_other", "small_set_surprise"]

Array = NDArray[np.float64]
SMALL = 200
"""Sets with fewer tiles are ordered by robust distances, each image against all others."""
FREEDOM, WARY_FREEDOM = 4.0, 1.5
"""Degrees of freedom of the tails: of peaks and filters, and of densities, which are surprised too easily."""
MAD_TO_SD = 1.4826


def judge_each_other(detector: AnomalyDetector, images: Sequence[Any]) -> tuple[Array, Array, dict[str, Array]]:
    """Scores, p-values and p-values by view of images (n,); NaN where one could not be scored.

    Parameters
    ----------
    detector : AnomalyDetector
        Not fitted; it is fitted here.
    images : sequence
        As for :meth:`AnomalyDetector.fit`.

    Notes
    -----
    The p-value counts the set itself: of n images the strangest has 1/n, and nothing says that it is abnormal.
    """
    side = detector.how.tile
    tiles = sum(max(1, round(float(np.prod(shape_of(image))) / side**2)) for image in images)
    if tiles >= SMALL or len(images) < 2:
        return detector.fit(images).of_normals()
    detector.folds, detector.teach = len(images), False
    detector.fit(images)
    assert detector.calibration is not None
    detector.calibration = _by_distance(detector.calibration)
    return detector.of_normals()


def _by_distance(calibration: Calibration) -> Calibration:
    return replace(calibration, combined=small_set_surprise(calibration.normal))


def small_set_surprise(scores: dict[str, Array]) -> Array:
    """Combined surprise of tiles (n,) from their scores by view, each by a density that has not seen it.

    Parameters
    ----------
    scores : mapping of str to ndarray (n,)
        By view, higher = more abnormal.
    """
    names = list(scores)
    surprises = np.array([_surprise(scores[name], wary=least_shape(name) > 0) for name in names])
    return combine_surprises(surprises, weights_of(names))


def _surprise(score: Array, *, wary: bool) -> Array:
    """Minus the logarithm of the share of a Student-t beyond each score, by the median and spread of all."""
    if wary:  # minus a log density grows with the square of the distance
        score = np.sqrt(score - score.min())
    centre = np.median(score)
    spread = MAD_TO_SD * float(np.median(np.abs(score - centre)))
    if spread <= 0:  # most are the same
        spread = max(float(score.std()), 1e-9)
    found: Array = -stats.t.logsf((score - centre) / spread, WARY_FREEDOM if wary else FREEDOM)
    return found
