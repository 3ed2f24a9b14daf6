"""A prior's answers corrected by what the image itself says of them.

A prior's calibration holds for its training groups on average; of a single instrument it can be a third off, and there
its mean can know less than a surface through the neighbours. So good pixels are hidden in the shapes of the image's own
holes, next to these, and predicted. That says what share of the surfaces belongs into the means of this image
(`gencosmo.tasks.shares`); and by how much they miss, in units of the stated standard deviation, corrects the standard
deviations (scaling of predicted spreads: Levi et al. 2022) and the widths of the central intervals (split-conformal
prediction: Lei et al. 2018).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise, product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gencosmo.priors.base import Denoiser
from gencosmo.priors.diffusion import DiffusionPrior
from gencosmo.sampling import Posterior, predict
from gencosmo.tasks.prepared import Prepared
from gencosmo.tasks.shares import LEAST, NO_SHARES, Hidden, Shares, fit_shares
from gencosmo.windows import Canvas

__all__ = ["Recalibration", "corrected", "recalibrate"]

Array = NDArray[np.float64]
SIDE = 256
"""Pieces of the image in which pixels are hidden have about this side."""
PIECES = 4
"""Pieces looked at, all channels together, but one of each channel."""
SHIFTS = ((0.5, 0.5), (0.25, 0.75), (0.75, 0.25), (0.125, 0.375))
"""By which shares of a piece its mask is moved, one after the other, until enough is hidden."""
ENOUGH = 400
"""Hidden pixels of a piece that are enough."""
MOST = 0.55
"""Largest share of a piece that may be unknown, holes and hidden pixels together."""
DOUBT = 100.0
"""Hidden pixels that the prior's own calibration counts for."""
REACH = 6.0
"""Deviations beyond so many spreads count as these: one bright star is not the image."""
ROUNDS = 5
WIDEST = 4.0
"""Standard deviations change by no more than this factor either way."""


@dataclass(frozen=True)
class Recalibration:
    """How a prior's answers on an image are corrected.

    Attributes
    ----------
    shares : tuple of Shares (C,)
        Of the surfaces in the means of each channel.
    factors : tuple of float (C,)
        On the standard deviations of each channel.
    widths : mapping of float to float
        On the half-widths of central intervals in units of these, by level.
    pixels : int
        Hidden pixels that this was measured on.
    """

    shares: tuple[Shares, ...]
    factors: tuple[float, ...]
    widths: Mapping[float, float]
    pixels: int


def recalibrate(prepared: Prepared, denoiser: Denoiser, quantiles: Mapping[float, float]) -> Recalibration | None:
    """Measure how well a prior does on an image with holes.

    Parameters
    ----------
    prepared : Prepared
        In the frame world: its good pixels are exact.
    denoiser : Denoiser
        Means of one that fills no surfaces are left to it.
    quantiles : mapping of float to float
        Half-widths of the prior's central intervals in standard deviations, by level.

    Returns
    -------
    Recalibration or None
        None where too few pixels can be hidden to tell.
    """
    channels = prepared.image.shape[0]
    values, levels, hidden, origins, of = [], [], [], [], []
    for channel in range(channels):
        mask = prepared.image.mask[channel]
        z, sigma = (prepared.canvas.plane(name, channel).cpu() for name in ("z", "sigma_obs"))
        for box in _pieces(mask, max(1, PIECES // channels)):
            chosen = _moved(mask[box])
            if not chosen.any():
                continue
            values.append(z[box].clone())
            levels.append(torch.where(torch.from_numpy(chosen), torch.inf, sigma[box]))
            hidden.append(chosen)
            origins.append((prepared.image.origin[0] + box[0].start, prepared.image.origin[1] + box[1].start))
            of.append(channel)
    if sum(int(chosen.sum()) for chosen in hidden) < LEAST:
        return None
    canvas = Canvas.from_planes(
        values, levels, seeds=[0] * len(of), origins=origins, keys=of, device=prepared.canvas.device
    )
    rows = _answers(canvas, denoiser, hidden)
    for number, chosen in enumerate(hidden):
        rows[number][4] = values[number].numpy()[chosen]
    seen = [Hidden.of([row for row, c in zip(rows, of, strict=True) if c == channel]) for channel in range(channels)]
    surfaces = isinstance(denoiser, DiffusionPrior)
    return _fitted(seen, [fit_shares(one) if surfaces else NO_SHARES for one in seen], quantiles)


def corrected(found: Posterior, canvas: Canvas, measured: Recalibration) -> Posterior:
    """The answer on an image, corrected; its surfaces are those that the last pass left on the canvas."""
    mean, std = found.mean.clone(), found.std.clone()
    for channel, (shares, factor) in enumerate(zip(measured.shares, measured.factors, strict=True)):
        mine, spread = canvas.view(mean, channel), canvas.view(std, channel)
        at = spread.nonzero(as_tuple=True)  # few of a large frame
        base, smooth = (canvas.plane(name, channel)[at] for name in ("base", "smooth"))
        mine[at] = shares.moved(mine[at], spread[at], base, smooth)
        spread[at] *= factor
    return replace(found, mean=mean, std=std)


def _answers(canvas: Canvas, denoiser: Denoiser, hidden: list[NDArray[np.bool_]]) -> list[Array]:
    """Mean, standard deviation and both surfaces of the hidden pixels of every plane (5, n), the last row empty."""
    asked = torch.zeros(canvas.size, dtype=torch.bool)
    for number, chosen in enumerate(hidden):
        canvas.view(asked, number)[torch.from_numpy(chosen)] = True
    found = predict(denoiser, canvas, world="frame", moving=asked.to(canvas.device))

    def of(flat: Tensor, number: int) -> Array:
        return canvas.view(flat, number).cpu().numpy()[hidden[number]].astype(np.float64)

    flats = (found.mean, found.std, canvas.flat("base"), canvas.flat("smooth"), found.mean)
    return [np.stack([of(flat, number) for flat in flats]) for number in range(len(hidden))]


def _fitted(seen: list[Hidden], shares: list[Shares], quantiles: Mapping[float, float]) -> Recalibration:
    """Corrections of the spreads, by channel, once means have their shares of the surfaces."""
    factors, scaled = [], []
    for one, share in zip(seen, shares, strict=True):
        mean = share.moved(*(torch.from_numpy(row) for row in (one.mean, one.std, one.base, one.smooth))).numpy()
        pull = (one.truth - mean) / np.maximum(one.std, np.finfo(np.float32).tiny)
        factors.append(_spread(pull) ** (pull.size / (pull.size + DOUBT)))
        scaled.append(np.abs(pull) / factors[-1])
    pulls = np.concatenate(scaled)
    trust = pulls.size / (pulls.size + DOUBT)
    widths = {
        level: float(np.clip(np.quantile(pulls, level) / width, 1 / WIDEST, WIDEST) ** trust)
        for level, width in quantiles.items()
    }
    return Recalibration(tuple(shares), tuple(factors), widths, pulls.size)


def _spread(pull: Array) -> float:
    """Root mean square; what is beyond the reach of that counts as if at its end."""
    found = 1.0
    for _ in range(ROUNDS if pull.size else 0):
        square = float(np.mean(np.minimum(pull * pull, (REACH * found) ** 2)))
        found = float(np.clip(square, WIDEST**-2, WIDEST**2)) ** 0.5
    return found


def _pieces(mask: NDArray[np.bool_], most: int) -> list[tuple[slice, slice]]:
    """Up to `most` pieces of a plane, spread over it as its masked pixels are."""
    if not mask.any():
        return []
    edges = [np.linspace(0, side, max(1, round(side / SIDE)) + 1).astype(int).tolist() for side in mask.shape]
    boxes = [(slice(*rows), slice(*cols)) for rows, cols in product(*(list(pairwise(cuts)) for cuts in edges))]
    seen = np.cumsum([np.count_nonzero(mask[box]) for box in boxes])
    places = np.searchsorted(seen, (np.arange(most) + 0.5) / most * seen[-1])
    return [boxes[place] for place in np.unique(places)]


def _moved(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Good pixels of a piece in the shapes of its holes: its mask, moved around its edges."""
    chosen = np.zeros(mask.shape, np.bool_)
    for shares in SHIFTS:
        by = [round(share * side) for share, side in zip(shares, mask.shape, strict=True)]
        more = chosen | (np.roll(mask, by, (0, 1)) & ~mask)
        if np.count_nonzero(more | mask) > MOST * mask.size:
            continue
        chosen = more
        if np.count_nonzero(chosen) >= ENOUGH:
            break
    return chosen
