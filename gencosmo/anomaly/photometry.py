"""Plain figures of a tile, as a catalogue would have them: brightness, concentration, asymmetry, clumps, texture."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gencosmo.anomaly.ground import compact, glow, grain
from gencosmo.anomaly.hits import hits
from gencosmo.anomaly.objects import objects
from gencosmo.anomaly.shapes import shapes
from gencosmo.anomaly.streaks import streaks
from gencosmo.scaling import measure_scaling

__all__ = ["LIGHT", "tile_figures", "tile_photometry"]

Float = NDArray[np.float32]
QUANTILES = (0.5, 5, 25, 50, 75, 95, 99, 99.9)
BRIGHTEST = (95, 99.5)
"""Per cent of the smoothed pixels below the heights that say how much light a tile holds."""
LIGHT = len(BRIGHTEST)
"""The last figures of a tile: how much light it holds. All others depend on it, and are judged given it."""


def tile_photometry(flux: Float, scored: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Features (d,) of one tile.

    Parameters
    ----------
    flux : ndarray (h, w)
        Background-subtracted values in units of the noise.
    scored : ndarray of bool (h, w)
        Pixels with a value; others count as 0, and quantiles leave them out.
    """
    values = flux[scored].astype(np.float64)
    clean = np.where(scored, flux, 0).astype(np.float64)
    quantiles = np.percentile(values, QUANTILES)
    light = np.maximum(clean, 0.0)
    total = light.sum() + 1e-6
    bright = np.maximum(ndimage.gaussian_filter(clean, 1.0) - 1.0, 0.0)
    turned = np.abs(bright - bright[::-1, ::-1]).sum() / (bright.sum() + 1.0)
    ordered = np.sort(light[scored])
    rank = np.arange(1, ordered.size + 1)
    gini = float((2 * rank - ordered.size - 1) @ ordered) / (ordered.size * total)
    _, clumps = ndimage.label(ndimage.gaussian_filter(clean, 1.0) > 1.5)
    texture = [np.log(np.var(step) + 1e-6) for step in _details(clean)]
    return np.array(
        [
            *np.arcsinh(quantiles),
            np.arcsinh(clean.sum() / np.sqrt(max(1, values.size))),
            np.log1p(ordered[-max(1, ordered.size // 1000) :].mean()),
            _moment(bright),
            turned,
            gini,
            np.log1p(clumps),
            *texture,
        ]
    )


def tile_figures(flux: Float, scored: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Everything that a catalogue would say of a tile (d,): objects, sources, the ground under them, photometry, light.

    The tile is brought to its own background and noise first, so that cutouts and tiles of a frame compare.

    Parameters
    ----------
    flux, scored
        As for :func:`tile_photometry`.
    """
    own = measure_scaling(np.where(scored, flux, np.float32(0)).astype(np.float32), scored).to_flux(flux)
    values = np.where(scored, own, 0.0).astype(np.float64)
    source = compact(values, scored)
    ground = (glow(values, scored, source), grain(values, scored, source))
    lines = (streaks(values, scored), hits(values, scored))
    plain = tile_photometry(own, scored)
    held = objects(values, scored)
    return np.concatenate([held, shapes(values, scored), *ground, *lines, plain, _light(values)])


def _light(clean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Heights (2,) of the bright parts, in arsinh; single pixels, lines and faint discs hardly move them."""
    smooth = ndimage.gaussian_filter(ndimage.median_filter(clean, 3), 1.0)
    return np.asarray(np.arcsinh(np.percentile(smooth, BRIGHTEST) / 2))


def _moment(light: NDArray[np.float64]) -> float:
    """Log of the root mean square distance of the light from its centre, in pixels."""
    rows, cols = np.indices(light.shape)
    total = light.sum() + 1e-6
    row, col = (light * rows).sum() / total, (light * cols).sum() / total
    return float(np.log1p(np.sqrt((light * ((rows - row) ** 2 + (cols - col) ** 2)).sum() / total)))


def _details(image: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Differences between the image and its smoothings, finest first."""
    smooth = [image, *(ndimage.gaussian_filter(np.clip(image, -50, 50), s) for s in (1.0, 2.0, 4.0))]
    return [np.clip(a, -50, 50) - b for a, b in itertools.pairwise(smooth)]
