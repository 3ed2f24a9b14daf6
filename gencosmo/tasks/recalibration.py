"""Widths of intervals measured on the image itself.

A prior's calibration holds for its training groups on average; of a single instrument it can be a third off. So good
pixels are hidden in the shapes of the image's own holes, next to these, and predicted: by how much they miss, in units
of the stated standard deviation, corrects the standard deviations (Levi et al. 2022, scaling of predicted spreads) and
the widths of the central intervals (as in split-conformal prediction, Lei et al. 2018). Predictions stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
import torch
from numpy.typing import NDArray

from gencosmo.priors.base import Denoiser
from gencosmo.sampling import predict
from gencosmo.tasks.prepared import Prepared
from gencosmo.windows import Canvas

__all__ = ["Recalibration", "recalibrate"]

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
LEAST = 30
"""With fewer hidden pixels the prior's own calibration stands."""
DOUBT = 100.0
"""Hidden pixels that the prior's own calibration counts for."""
REACH = 6.0
"""Deviations beyond so many standard deviations count as these: one bright star is not the image."""
ROUNDS = 5
WIDEST = 4.0
"""Standard deviations change by no more than this factor either way."""


@dataclass(frozen=True)
class Recalibration:
    """By what an image's stated spreads are corrected.

    Attributes
    ----------
    factors : tuple of float (C,)
        On the standard deviations of each channel.
    widths : mapping of float to float
        On the half-widths of central intervals in units of these, by level.
    pixels : int
        Hidden pixels that this was measured on.
    """

    factors: tuple[float, ...]
    widths: Mapping[float, float]
    pixels: int


def recalibrate(prepared: Prepared, denoiser: Denoiser, quantiles: Mapping[float, float]) -> Recalibration | None:
    """Measure how well a prior's spreads hold on an image with holes.

    Parameters
    ----------
    prepared : Prepared
        In the frame world: its good pixels are exact.
    denoiser : Denoiser
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
    asked = torch.zeros(canvas.size, dtype=torch.bool)
    for number, chosen in enumerate(hidden):
        canvas.view(asked, number)[torch.from_numpy(chosen)] = True
    found = predict(denoiser, canvas, world="frame", moving=asked.to(canvas.device))
    pulls: list[list[NDArray[np.float64]]] = [[] for _ in range(channels)]
    for number, chosen in enumerate(hidden):
        mean, std = (canvas.view(flat, number).cpu().numpy()[chosen] for flat in (found.mean, found.std))
        error = mean.astype(np.float64) - values[number].numpy()[chosen]
        pulls[of[number]].append(error / np.maximum(std, np.finfo(np.float32).tiny))
    return _fitted([np.concatenate([np.zeros(0), *parts]) for parts in pulls], quantiles)


def _fitted(pulls: list[NDArray[np.float64]], quantiles: Mapping[float, float]) -> Recalibration:
    """Corrections from deviations over stated standard deviations, by channel."""
    factors = []
    for pull in pulls:
        factors.append(_spread(pull) ** (pull.size / (pull.size + DOUBT)))
    scaled = np.concatenate([np.abs(pull) / factor for pull, factor in zip(pulls, factors, strict=True)])
    trust = scaled.size / (scaled.size + DOUBT)
    widths = {
        level: float(np.clip(np.quantile(scaled, level) / width, 1 / WIDEST, WIDEST) ** trust)
        for level, width in quantiles.items()
    }
    return Recalibration(tuple(factors), widths, scaled.size)


def _spread(pull: NDArray[np.float64]) -> float:
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
