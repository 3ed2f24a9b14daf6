"""Other ways to score tiles; each is fitted on the same normals. Scores: higher = more abnormal."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import LocalOutlierFactor
from sklearn.preprocessing import RobustScaler

Tiles = np.ndarray
Scorer = Callable[[Tiles], np.ndarray]


def median_filter(normals: Tiles) -> Scorer:
    """Largest deviation from a 5x5 median, over the tile's noise."""

    def score(tiles: Tiles) -> np.ndarray:
        return np.array([np.abs(t - ndimage.median_filter(t, 5)).max() for t in tiles])

    return score


def morphology(tile: np.ndarray) -> list[float]:
    """Figures of a segmentation catalogue: number, flux, size, shape, concentration and asymmetry of sources."""
    smooth = ndimage.gaussian_filter(tile, 1.0)
    labels, count = ndimage.label(smooth > 1.0)
    index = np.arange(1, count + 1)
    area = ndimage.sum_labels(np.ones_like(tile), labels, index) if count else np.zeros(1)
    flux = ndimage.sum_labels(tile, labels, index) if count else np.zeros(1)
    peak = ndimage.maximum(tile, labels, index) if count else np.zeros(1)
    big = int(np.argmax(flux)) + 1 if count else 0
    rows, cols = np.nonzero(labels == big) if count else (np.array([0, 1]), np.array([0, 1]))
    light = np.maximum(tile[rows, cols], 1e-3)
    r0, c0 = np.average(rows, weights=light), np.average(cols, weights=light)
    cov = np.cov(np.vstack([rows - r0, cols - c0]), aweights=light) if rows.size > 2 else np.eye(2)
    small, large = np.sqrt(np.maximum(np.linalg.eigvalsh(cov), 1e-3))
    turned = np.abs(tile - tile[::-1, ::-1]).mean() / (np.abs(tile).mean() + 1e-6)
    quantiles = np.arcsinh(np.percentile(tile, (1, 16, 50, 84, 99, 99.9)))
    sources = [
        count,
        np.log1p(np.sort(area)[-1]),
        np.arcsinh(flux.max()),
        np.arcsinh(flux.sum()),
        np.arcsinh(peak.max()),
    ]
    shape = [large / small, np.log(large), peak.max() / (abs(flux.max()) + 1), turned]
    gradient = [np.log(np.abs(np.diff(tile, axis=a)).mean()) for a in (0, 1)]
    return [*map(float, (*sources, *shape, *quantiles, *gradient))]


def _features(tiles: Tiles) -> np.ndarray:
    return np.array([morphology(t) for t in tiles])


def isolation_forest(normals: Tiles) -> Scorer:
    """IsolationForest on the figures of the sources."""
    scaler = RobustScaler().fit(_features(normals))
    forest = IsolationForest(n_estimators=300, random_state=0).fit(scaler.transform(_features(normals)))
    return lambda tiles: -forest.score_samples(scaler.transform(_features(tiles)))


def local_outlier_factor(normals: Tiles) -> Scorer:
    """LOF on the figures of the sources."""
    scaler = RobustScaler().fit(_features(normals))
    lof = LocalOutlierFactor(n_neighbors=20, novelty=True).fit(scaler.transform(_features(normals)))
    return lambda tiles: -lof.score_samples(scaler.transform(_features(tiles)))


def _stretched(tiles: Tiles) -> np.ndarray:
    return np.arcsinh(tiles).reshape(len(tiles), -1)


def pca(normals: Tiles) -> Scorer:
    """What 32 principal components of the stretched tiles leave over."""
    model = PCA(n_components=min(32, len(normals) // 2), random_state=0).fit(_stretched(normals))

    def score(tiles: Tiles) -> np.ndarray:
        flat = _stretched(tiles)
        return ((flat - model.inverse_transform(model.transform(flat))) ** 2).mean(axis=1)

    return score


def autoencoder(normals: Tiles) -> Scorer:
    """PyOD's autoencoder on the stretched tiles."""
    from pyod.models.auto_encoder import AutoEncoder

    # PyOD drops the last batch that is not full: with fewer normals than a batch there would be none
    model = AutoEncoder(
        contamination=0.01, hidden_neuron_list=[256, 64], epoch_num=30, random_state=0, verbose=0, device="cpu",
        batch_size=min(32, len(normals)),
    )  # fmt: skip
    model.fit(_stretched(normals).astype(np.float32))
    return lambda tiles: model.decision_function(_stretched(tiles).astype(np.float32))


RIVALS: dict[str, Callable[[Tiles], Scorer]] = {
    "median filter": median_filter,
    "IsolationForest": isolation_forest,
    "LOF": local_outlier_factor,
    "PCA": pca,
    "PyOD autoencoder": autoencoder,
}
"""Rivals by name."""
