"""How wide the stated spread has to be: the tables `gencosmo.sampling.spectrum.TRAINED_SPREAD`.

Measured on scenes of both kinds with seeds that nothing is reported of. The share of the truth within one standard
deviation shall be 68.3 % everywhere, whatever the stated spread and the brightness there, so what is fitted is the
68.3 % quantile of ``log(|error| / stated)`` as a sum of two functions of them, straight between knots (quantile
regression: Koenker & Bassett 1978). Each scene counts the same.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
from scipy import ndimage, optimize
from super_resolution_rivals import ours
from super_resolution_scenes import Array, Seen, rendered, simulated

__all__ = ["run_spread"]

SPREADS = (0.06, 0.12, 0.3, 1.0, 4.0, 16.0, 100.0)
HEIGHTS = (0.03, 0.3, 3.0, 20.0, 100.0)
"""Knots: stated standard deviation and brightness, in noise of a pixel of the image (network flux)."""
SHARE, WIDE = 0.683, 0.954
PENALTY = 1e-3
"""On squared logarithms of factors: both tables grow with each other's variable, and few pixels tell them apart."""
SOFT = 0.05
"""Rounding of the corner of the regression's loss, in natural logarithms."""


def network_units(mean: Array, std: Array, seen: Seen) -> tuple[Array, Array]:
    """Mean over 5x5 fine pixels of a result above the frame's sky, and its spread, in the frame's noise."""
    from gencosmo.scaling import measure_scaling

    data, ivar = seen.image.astype(np.float32), (1 / seen.noise**2).astype(np.float32)
    scaling = measure_scaling(data, np.ones(data.shape, bool), ivar)
    flux = np.asarray(scaling.to_flux(ndimage.uniform_filter(mean, 5) * seen.scale**2), np.float64)
    return flux, std * seen.scale**2 / scaling.noise


def run_spread(options: argparse.Namespace) -> dict[str, object]:
    """The tables, without those that the package has."""
    import gencosmo.tasks.super_resolve as task
    from gencosmo.priors import load_prior
    from gencosmo.sampling.spectrum import UNCORRECTED, Honest

    task.TRAINED_MEAN = replace(task.TRAINED_MEAN, honest=UNCORRECTED)
    prior, inside = load_prior(options.prior, "cpu"), (slice(8, -8), slice(8, -8))
    scenes: list[tuple[Array, Array, Array]] = []
    for make in (simulated, rendered):
        for seed in range(options.first, options.first + options.scenes):
            seen = make(seed, options.side, options.scale)
            assert seen.truth is not None
            mean, std, *_ = ours(seen, 0, options.steps, options.mode, prior)
            flux, stated = network_units(mean, std, seen)
            pull = np.abs(mean - seen.truth) / std
            scenes.append((pull[inside].ravel(), stated[inside].ravel(), flux[inside].ravel()))
            print(make.__name__, seed, round(float(np.quantile(scenes[-1][0], SHARE)), 2), flush=True)
    pull, stated, flux = (np.concatenate(part) for part in zip(*scenes, strict=True))
    weight = np.concatenate([np.full(s[0].size, 1 / s[0].size / len(scenes)) for s in scenes])
    found = regression(np.log(pull + 1e-4), weight, [hats(stated, SPREADS), hats(flux, HEIGHTS)])
    corrected = pull / np.exp(hats(stated, SPREADS) @ found[0] + hats(flux, HEIGHTS) @ found[1])
    order = np.argsort(corrected)
    quantile95 = corrected[order][np.searchsorted(np.cumsum(weight[order]), WIDE)]
    factors = [tuple(round(float(np.exp(v)), 2) for v in part) for part in found]
    table = Honest(SPREADS, factors[0], HEIGHTS, factors[1], round(float(quantile95), 2))
    print(f"TRAINED_SPREAD = {table}")
    return {"median": {"widths": factors[0], "factors": factors[1], "quantile95": table.quantile95}}


def hats(values: Array, knots: tuple[float, ...]) -> Array:
    """Weights (N, K) of knots: straight lines in the logarithm between neighbours, the last one's beyond."""
    place = np.log(np.maximum(values, 1e-9))
    return np.stack([np.interp(place, np.log(knots), row) for row in np.eye(len(knots))], axis=1)


def regression(logs: Array, weight: Array, bases: list[Array]) -> list[Array]:
    """Coefficients of each basis for the quantile `SHARE`; a small penalty decides what the data leave open."""
    design = np.concatenate(bases, axis=1)

    def loss(at: Array) -> tuple[float, Array]:
        rest = logs - design @ at
        rise = SHARE - 1 + 1 / (1 + np.exp(-np.clip(rest / SOFT, -50, 50)))
        value = (weight * ((SHARE - 1) * rest + SOFT * np.logaddexp(0, rest / SOFT))).sum()
        return float(value + PENALTY * (at**2).sum()), 2 * PENALTY * at - (weight * rise) @ design

    best = optimize.minimize(loss, np.zeros(design.shape[1]), jac=True, method="L-BFGS-B").x
    return np.split(best, np.cumsum([b.shape[1] for b in bases])[:-1])
