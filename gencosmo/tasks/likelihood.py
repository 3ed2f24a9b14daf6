"""How probable an image is under a prior, in physical units. A poor anomaly score by itself: see docs/anomaly.md."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from gencosmo.anomaly.bottleneck import narrowed
from gencosmo.anomaly.likelihood import Trace, chain_log_prob, ode_log_prob
from gencosmo.errors import UsageError
from gencosmo.image import as_image
from gencosmo.priors.base import Denoiser, World
from gencosmo.tasks.evidence import Laid, denoiser_of, lay_out

__all__ = ["log_prob", "pseudo_log_prob"]

CHAIN_PIXELS = 4096
"""The chain asks once per pixel: larger images are refused."""


def log_prob(
    image: Any,
    mask: Any = None,
    *,
    ivar: Any = None,
    prior: str | Denoiser = "sky",
    target: World = "frame",
    method: Literal["ode", "chain"] = "ode",
    trace: Trace = "hutchinson",
    probes: int = 4,
    steps: int = 48,
    seed: int = 0,
    device: str = "auto",
) -> float:
    """Natural log of the probability density of the unmasked pixels, in the image's units.

    Parameters
    ----------
    image : ndarray (H, W) or (C, H, W), masked array, NDData, CCDData, path, or Image
    mask : array-like, optional
        True or non-zero = bad: marginalised.
    ivar : array-like or float, optional
        Inverse variance; needed for ``target="scene"``, the density of scene plus this noise.
    prior : str or Denoiser
        Name of a shipped prior, path of a card, or a loaded prior.
    target : {"frame", "scene"}
    method : {"ode", "chain"}
        Probability-flow ODE, or the chain of single-pixel predictions (one network pass per pixel: small images).
    trace : {"hutchinson", "exact", "variance"}
        How the ODE gets the trace of the denoiser's Jacobian; ``exact`` up to 1024 pixels.
    probes, steps : int
        Random sign vectors per evaluation; Runge-Kutta steps.
    seed : int
        Of the random signs.
    device : str

    Returns
    -------
    float
        The sum over channels, which are independent. The affine map to flux is measured on the image where the prior
        has a card, so values of different images compare only where noise and background are given.

    Raises
    ------
    UsageError, InputError
    """
    laid, denoiser = _laid(image, mask, ivar, prior, target, seed, device)
    if method == "ode":
        found = ode_log_prob(denoiser, laid.canvas, world=target, trace=trace, probes=probes, steps=steps)
    elif method == "chain":
        _check_chain(laid)
        found = chain_log_prob(denoiser, laid.canvas, world=target)
    else:
        raise UsageError(f"method is {method!r}, expected ode or chain")
    return float(found.sum()) - _log_units(laid)


def pseudo_log_prob(
    image: Any,
    mask: Any = None,
    *,
    ivar: Any = None,
    prior: str | Denoiser = "sky",
    target: World = "frame",
    block: int = 4,
    seed: int = 0,
    device: str = "auto",
) -> float:
    """Sum of block predictions as if the pixels of a block were independent: not a log-probability.

    Cheaper than the chain by the square of `block`, and off by what the pixels of a block have in common.

    Parameters
    ----------
    image, mask, ivar, prior, target, seed, device
        As for :func:`log_prob`.
    block : int
        Side of the blocks in pixels, at least 2; with 1 it would be :func:`log_prob`.

    Returns
    -------
    float
    """
    if block < 2:
        raise UsageError(f"block is {block}, expected at least 2", hint="log_prob(method='chain') goes pixel by pixel")
    laid, denoiser = _laid(image, mask, ivar, prior, target, seed, device)
    _check_chain(laid, block * block)
    found = chain_log_prob(denoiser, laid.canvas, world=target, block=block)
    return float(found.sum()) - _log_units(laid)


def _laid(
    image: Any, mask: Any, ivar: Any, prior: str | Denoiser, target: World, seed: int, device: str
) -> tuple[Laid, Denoiser]:
    """Image on a canvas, and the prior with windows that are not larger than it."""
    if target not in ("frame", "scene"):
        raise UsageError(f"target is {target!r}, expected frame or scene", code="target")
    asked, denoiser = as_image(image, mask, ivar), denoiser_of(prior, device)
    return lay_out([asked], denoiser, target, seed), narrowed(denoiser, asked.shape[1:])


def _check_chain(laid: Laid, pixels: int = 1) -> None:
    passes = int(laid.canvas.pixels().sum()) // pixels
    if passes > CHAIN_PIXELS:
        raise UsageError(
            f"the chain would take {passes} network passes, at most {CHAIN_PIXELS}",
            hint="cut a smaller image, or use method='ode'",
        )


def _log_units(laid: Laid) -> float:
    """Log of the volume of a unit of flux in the image's units, over all scored pixels."""
    known = laid.canvas.sigma_obs.isfinite()
    total = 0.0
    for p, (number, channel) in enumerate(laid.plane_of):
        count = int(laid.canvas.view(known, p).sum())
        total += count * float(np.log(laid.prepared[number].scalings[channel].noise))
    return total
