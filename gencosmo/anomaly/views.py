"""Looks at every tile of a canvas: predictive peaks, the network's representation pooled and place by place, score
norms, catalogue figures.

One concatenated vector loses: a hot pixel is one odd number among hundreds. So each view has its own density and its
own calibration, and only their p-values meet (`gencosmo.tasks.detector`). The view `known` compares the figures with
what staged anomalies do to those of normals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from gencosmo.anomaly.bottleneck import Bottleneck, narrowed, place_light
from gencosmo.anomaly.maps import MapStack, Tiles, combine
from gencosmo.anomaly.passes import SCALES, Scale
from gencosmo.anomaly.photometry import tile_figures, tile_photometry
from gencosmo.anomaly.predictive import Predictive, predictive
from gencosmo.anomaly.staged import STAGED, stage
from gencosmo.anomaly.widths import Widths, fit_widths
from gencosmo.priors.base import Denoiser, World
from gencosmo.priors.diffusion import DiffusionPrior
from gencosmo.scaling import grey_step
from gencosmo.windows import Canvas

__all__ = [
    "BARE",
    "KNOWN",
    "LEAST_SCORED",
    "LEVELS",
    "VIEWS",
    "Evidence",
    "Look",
    "Raw",
    "Staging",
    "evidence_of",
    "look",
    "own_widths",
]

Float = NDArray[np.float32]
VIEWS = ("peaks", "pattern", "places", "norms", "figures", "objects", "known")
KNOWN, BARE = "known", "objects"
FIGURES = ("figures", BARE, KNOWN)
"""Views that look at the figures of a tile; they need no network."""
LEVELS = (0.5, 1.0, 2.0, 3.0, 6.0, 10.0, 20.0, 40.0, 80.0, 160.0)
"""Levels of the score norms (MSMA: Mahmood et al. 2021), in units of the noise; three of them serve the map too."""
HEARD = {"pattern": 3.0, "places": 0.1}
"""Levels at which the representation is read: pooled over a tile, and place by place. In noise, places say less."""
LEAST: dict[World, float] = {"frame": 0.0, "scene": 1.1}
"""Levels below this cannot be read: in the scene world a value holds its own noise already."""
SHARE = 0.2
"""Share of the light predicted next to a pixel by which a trained prior may be off without surprise."""
LEAST_SCORED = 0.4
"""A tile with a smaller share of scored pixels has no features."""


@dataclass(frozen=True)
class Look:
    """How to look: scales of the map, levels of the norms, side of a tile, density of the log-likelihood."""

    scales: tuple[Scale, ...] = SCALES
    levels: tuple[float, ...] = LEVELS
    tile: int = 64
    views: tuple[str, ...] = VIEWS
    world: World = "frame"
    family: str = "gaussian"
    parameter: float = 0.0
    second_look: bool = True
    known: tuple[str, ...] = tuple(STAGED)


@dataclass(frozen=True)
class Staging:
    """Which tiles of normals get every known anomaly staged: this share of them, drawn from `seed` and the image."""

    share: float
    seed: int
    first: int = 0


@dataclass(frozen=True, eq=False)
class Raw:
    """What the passes left of one plane, before its deviations are calibrated.

    Attributes
    ----------
    z, var : ndarray (S, H, W)
        Deviations and predicted variances at every scale.
    scored : ndarray of bool (H, W)
    tiles : Tiles
    features : mapping of str to ndarray (tiles, d)
        Of the views that need no calibrated deviations.
    staged : mapping of str to ndarray (tiles, d)
        Figures with each known anomaly staged; NaN where none was.
    """

    z: Float
    var: Float
    scored: NDArray[np.bool_]
    tiles: Tiles
    features: Mapping[str, NDArray[np.float64]]
    staged: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    def sample(self, most: int) -> tuple[Float, Float]:
        """Deviations and variances (S, n) of at most this many scored pixels, evenly spread."""
        chosen = np.flatnonzero(self.scored)
        chosen = chosen[:: max(1, -(-chosen.size // most))]
        return self.z.reshape(len(self.z), -1)[:, chosen], self.var.reshape(len(self.z), -1)[:, chosen]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What was found on one plane.

    Attributes
    ----------
    tiles : Tiles
    stack : MapStack
    features : mapping of str to ndarray (tiles, d)
        By view; rows of tiles that were hardly scored are NaN.
    z : ndarray (S, H, W)
        Calibrated deviations.
    scored : ndarray of bool (H, W)
    staged : mapping of str to ndarray (tiles, d)
        As of `Raw`.
    """

    tiles: Tiles
    stack: MapStack
    features: Mapping[str, NDArray[np.float64]]
    z: Float
    scored: NDArray[np.bool_]
    staged: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)


def look(
    denoiser: Denoiser,
    canvas: Canvas,
    how: Look,
    *,
    noise: Tensor | None = None,
    features: bool = True,
    staging: Staging | None = None,
    watch: Callable[[int, int], None] | None = None,
) -> tuple[Predictive, list[Raw]]:
    """Run the passes on a canvas.

    Parameters
    ----------
    denoiser : Denoiser
    canvas : Canvas
        At the observation's levels; left as it came.
    how : Look
    noise : Tensor (N,), optional
        Noise of every pixel in flux.
    features : bool
        False makes the map only: the levels and the representation are left out.
    staging : Staging, optional
        For normals: stage known anomalies in their tiles.
    watch : callable, optional
        Called with passes done and of all passes.
    """
    sides = canvas.layout[:, 1:3].amax(0).tolist()
    denoiser = narrowed(denoiser, (sides[0], sides[1]))
    levels: Sequence[float] = how.levels if features and "norms" in how.views else ()
    wanted = canvas.sigma_obs.isfinite() & canvas.pixels()
    ears = {
        name: Bottleneck(denoiser, canvas, wanted, max(level, LEAST[how.world]), finest=name == "places")
        for name, level in HEARD.items()
        if features and name in how.views and isinstance(denoiser, DiffusionPrior)
    }
    levels = (*levels, *(ear.level for ear in ears.values()))

    def after(level: float) -> None:
        for ear in ears.values():
            ear.after(level)

    with ExitStack() as stack:
        for ear in ears.values():
            stack.enter_context(ear.listening())
        found = predictive(
            denoiser, canvas, world=how.world, scales=how.scales, noise=noise, family=how.family,
            parameter=how.parameter, second_look=how.second_look, levels=tuple(dict.fromkeys(levels)),
            after=after, watch=watch,
        )  # fmt: skip
    asked = {"features": features, "trained": isinstance(denoiser, DiffusionPrior)}
    return found, [_raw(canvas, found, p, how, ears, staging, **asked) for p in range(canvas.layout.shape[0])]


def _raw(
    canvas: Canvas,
    found: Predictive,
    p: int,
    how: Look,
    ears: Mapping[str, Bottleneck],
    staging: Staging | None,
    *,
    features: bool,
    trained: bool,
) -> Raw:
    z, var = (canvas.view(flat, p).cpu().numpy() for flat in (found.z, found.var))
    scored = canvas.view(found.scored, p).cpu().numpy()
    flux = canvas.plane("z", p).cpu().numpy()
    if trained:
        z = forgiving(z, var, canvas.view(found.mean, p).cpu().numpy(), grey_step(flux, scored))
    tiles = Tiles.of((z.shape[1], z.shape[2]), how.tile)
    views: dict[str, NDArray[Any]] = {}
    if "pattern" in ears:
        views["pattern"] = ears["pattern"].tiles(p, tiles)
    if "places" in ears:
        light = place_light(np.where(scored, flux, np.float32(0)), tiles)
        views["places"] = np.concatenate([ears["places"].places(p, tiles), light], axis=2).reshape(tiles.count, -1)
    if features and "norms" in how.views:
        views["norms"] = _norms(canvas, found, p, scored, tiles, how.levels)
    wanted = [name for name in FIGURES if features and name in how.views]
    if wanted:
        views |= dict.fromkeys(wanted, _by_tile(tiles, scored, lambda _, box: tile_figures(flux[box], scored[box])))
    staged = {}
    if staging is not None and KNOWN in wanted:
        staged = {kind: _staged(kind, flux, scored, tiles, staging, p) for kind in how.known}
    return Raw(z, var, scored, tiles, views, staged)


def forgiving(z: Float, var: Float, mean: Float, step: float = 0.0) -> Float:
    """Deviations (S, H, W) of a trained prior, with `SHARE` of the predicted light as a further standard deviation, and
    the error of rounding to grey levels that are `step` apart.

    In the core of a bright star every prediction is off by many of its own standard deviations, and such cores would
    hide a hot pixel on the sky. On a dark ground of one grey level nearly nothing varies, and the next level is none.
    """
    light = ndimage.maximum_filter(np.maximum(mean, 0), (1, 3, 3))
    more = (SHARE * light) ** 2 + np.float32(step * step / 12 + 1e-30)
    return np.asarray(z * np.sqrt(var / (var + more)), np.float32)


def _by_tile(
    tiles: Tiles, scored: NDArray[np.bool_], figures: Callable[[int, tuple[slice, slice]], NDArray[np.float64] | None]
) -> NDArray[np.float64]:
    """Features (tiles, d) of tiles one by one; NaN where nothing is scored, or where there are none."""
    rows = [figures(number, box) if scored[box].any() else None for number, box in enumerate(tiles.boxes())]
    width = next((len(row) for row in rows if row is not None), 0)
    return np.array([np.full(width, np.nan) if row is None else row for row in rows])


def _staged(
    kind: str, flux: Float, scored: NDArray[np.bool_], tiles: Tiles, staging: Staging, p: int
) -> NDArray[np.float64]:
    width = len(tile_figures(np.zeros((8, 8), np.float32), np.ones((8, 8), np.bool_)))

    def figures(number: int, box: tuple[slice, slice]) -> NDArray[np.float64]:
        rng = np.random.default_rng([staging.seed, staging.first + p, number, list(STAGED).index(kind)])
        if rng.random() >= staging.share:
            return np.full(width, np.nan)
        changed = stage(kind, rng, flux[box].astype(np.float64), scored[box])
        return tile_figures(changed.astype(np.float32), scored[box])

    return _by_tile(tiles, scored, figures)


def own_widths(raws: Sequence[Raw], most: int = 400_000) -> Widths:
    """Widths measured on these planes themselves."""
    parts = [raw.sample(max(500, most // len(raws))) for raw in raws]
    return fit_widths(np.concatenate([z for z, _ in parts], axis=1), np.concatenate([v for _, v in parts], axis=1))


def evidence_of(raw: Raw, widths: Widths | None, views: Sequence[str]) -> Evidence:
    """Calibrate the deviations of a plane and take its evidence together.

    Parameters
    ----------
    raw : Raw
    widths : Widths or None
        None takes the deviations as they are: for a prior that is exact.
    views : sequence of str
        Without ``peaks`` there are none of these among the features.
    """
    z = raw.z if widths is None else widths(raw.z, raw.var)
    stack = combine(z, raw.scored, raw.tiles)
    found = dict(raw.features)
    found["peaks"] = stack.peaks
    if "norms" in found:
        found["norms"] = np.concatenate([found["norms"], _masses(z, raw.scored, raw.tiles)], axis=1)
    bare = raw.tiles.reduce(np.add, raw.scored.astype(np.float64)) / raw.tiles.reduce(np.add, np.ones(raw.scored.shape))
    enough = bare.reshape(-1, 1) >= LEAST_SCORED
    chosen = {name: np.where(enough, found[name], np.nan) for name in views if name in found}
    return Evidence(raw.tiles, stack, chosen, z, raw.scored, raw.staged if KNOWN in chosen else {})


def _masses(z: NDArray[np.float32], scored: NDArray[np.bool_], tiles: Tiles) -> NDArray[np.float64]:
    """Log mean square deviation of every scale in every tile (tiles, S)."""
    count = np.maximum(tiles.reduce(np.add, scored.astype(np.float64)), 1)
    total = tiles.reduce(np.add, np.minimum(z.astype(np.float64) ** 2, 25.0) * scored)
    return np.log(total / count + 1e-3).reshape(len(z), -1).T


def _norms(
    canvas: Canvas, found: Predictive, p: int, scored: NDArray[np.bool_], tiles: Tiles, levels: Sequence[float]
) -> NDArray[np.float64]:
    """Score norms at every level, and the photometry of every tile."""
    count = np.maximum(tiles.reduce(np.add, scored.astype(np.float64)), 1)
    columns = []
    for level in levels:
        norm = canvas.view(found.norms[level], p).cpu().numpy().astype(np.float64)
        columns.append(np.log(tiles.reduce(np.add, norm * norm) / count + 1e-6))
        columns.append(np.log(tiles.reduce(np.maximum, np.abs(norm)) + 1e-6))
    norms = np.stack(columns, axis=-1).reshape(tiles.count, -1)
    flux = canvas.plane("z", p).cpu().numpy()
    plain = _by_tile(tiles, scored, lambda _, box: tile_photometry(flux[box], scored[box]))
    return np.concatenate([norms, plain], axis=1)
