"""Images on canvases for scoring: in the prior's flux, with the noise of every pixel, many at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gencosmo.errors import InputError
from gencosmo.image import Image
from gencosmo.priors import load_prior
from gencosmo.priors.base import Denoiser, World
from gencosmo.priors.diffusion import DiffusionPrior
from gencosmo.scaling import Scaling
from gencosmo.tasks.prepared import Prepared, prepare
from gencosmo.windows import Canvas

__all__ = ["NUISANCES", "Laid", "check_scorable", "denoiser_of", "identity_of", "lay_out", "nuisances_of"]

NUISANCES = ("log_noise", "background", "psf_width")
"""What is measured on every image and may differ between normals: depth, sky level, seeing (where a PSF is given)."""
LEAST_SIDE = 8
"""Planes with a shorter side are refused: nothing could be predicted from so little."""


@dataclass(frozen=True, eq=False)
class Laid:
    """Images on one canvas.

    Attributes
    ----------
    images : list of Image
    prepared : list of Prepared
        One per image, on canvases of their own (their scalings count); a single one shares its canvas.
    canvas : Canvas
        All planes, image after image, channel after channel.
    noise : Tensor (N,)
        Noise of every pixel in flux.
    plane_of : list of (int, int)
        Image and channel of every plane.
    """

    images: list[Image]
    prepared: list[Prepared]
    canvas: Canvas
    noise: Tensor
    plane_of: list[tuple[int, int]]


def denoiser_of(prior: str | Denoiser, device: str) -> Denoiser:
    """A loaded prior, from its name where it is not one yet; in one orientation, whose network is listened to."""
    denoiser = load_prior(prior, device) if isinstance(prior, str) else prior
    return denoiser.with_turns(1) if isinstance(denoiser, DiffusionPrior) else denoiser


def identity_of(denoiser: Denoiser) -> dict[str, str]:
    """What a prior answers by: weights; surface and corrections, which may change under the same weights."""
    card = getattr(denoiser, "card", None)
    if card is None:
        return {"name": type(denoiser).__name__, "hash": "", "made": ""}
    measured = getattr(denoiser, "calibration", None)
    tables = None if measured is None else [measured.factors, measured.shifts, measured.quantiles]
    told = json.dumps([card.surface, tables], sort_keys=True, default=dict)
    return {"name": card.name, "hash": card.weights_sha256, "made": hashlib.sha256(told.encode()).hexdigest()}


def lay_out(images: Sequence[Image], denoiser: Denoiser, world: World, seed: int) -> Laid:
    """Put images on one canvas.

    A prior with a card lives in flux that is measured on each image; any other (`GaussianPrior`) lives in the units of
    the images.

    Raises
    ------
    InputError
        A plane without a pixel to score, or too small.
    """
    prepared = [_prepare(image, denoiser, world, seed) for image in images]
    plane_of = [(number, channel) for number, one in enumerate(prepared) for channel in range(one.image.shape[0])]
    canvas = prepared[0].canvas if len(prepared) == 1 else _joined(prepared, plane_of, seed)
    flat = torch.ones(canvas.size, device=canvas.device)
    for p, (number, channel) in enumerate(plane_of):
        canvas.view(flat, p).copy_(torch.from_numpy(_noise(prepared[number], channel)))
    return Laid(list(images), prepared, canvas, flat, plane_of)


def _joined(prepared: Sequence[Prepared], plane_of: Sequence[tuple[int, int]], seed: int) -> Canvas:
    """One canvas with the planes of many."""
    planes = [(prepared[number], channel) for number, channel in plane_of]
    return Canvas.from_planes(
        [one.canvas.plane("z", channel) for one, channel in planes],
        [one.canvas.plane("sigma_obs", channel) for one, channel in planes],
        seeds=[seed] * len(planes),
        origins=[one.image.origin for one, _ in planes],
        keys=[channel for _, channel in planes],
        device=str(prepared[0].canvas.device),
    )


def check_scorable(image: Image, name: str = "image") -> None:
    """Refuse an image that is too small, or has a channel without a pixel to score; `name` tells which one it is.

    Raises
    ------
    InputError
        `too_small`, `no_signal`.
    """
    height, width = image.shape[1:]
    if min(height, width) < LEAST_SIDE:
        raise InputError(
            f"{name} is {height} x {width} pixels, scoring needs at least {LEAST_SIDE} on each side",
            code="too_small",
            hint="give the tile with its surroundings",
        )
    bare = image.mask.all(axis=(1, 2))
    if bare.any():
        text = f"{name}: channel {int(np.argmax(bare))} has no unmasked pixel: there is nothing to score"
        raise InputError(text, code="no_signal")


def _prepare(image: Image, denoiser: Denoiser, world: World, seed: int) -> Prepared:
    check_scorable(image)
    if hasattr(denoiser, "card"):
        return prepare(image, world, seed=seed, device=str(getattr(denoiser, "device", "cpu")))
    return _as_it_is(image, world, seed)


def _as_it_is(image: Image, world: World, seed: int) -> Prepared:
    """Flux is the image's own unit."""
    if world == "scene" and image.ivar is None:
        raise InputError(
            "target 'scene' needs the noise of every pixel, and the image has none", code="no_noise", hint="give ivar="
        )
    mask = image.mask
    level = np.where(mask, np.float32(np.inf), np.float32(0))
    if world == "scene" and image.ivar is not None:
        with np.errstate(divide="ignore"):
            level = np.where(mask, np.float32(np.inf), 1 / np.sqrt(image.ivar)).astype(np.float32)
    channels = range(image.shape[0])
    canvas = Canvas.from_planes(
        [torch.from_numpy(image.data[c].copy()) for c in channels],
        [torch.from_numpy(level[c]) for c in channels],
        seeds=[seed] * len(channels),
        origins=[image.origin] * len(channels),
        keys=list(channels),
    )
    return Prepared(image, canvas, [Scaling(0.0, 1.0) for _ in channels], None)


def _noise(one: Prepared, channel: int) -> NDArray[np.float32]:
    """Noise of every pixel in flux: what `ivar` says, 1 where nothing is known."""
    shape = one.image.shape[1:]
    if one.image.ivar is None:
        return np.ones(shape, np.float32)
    level = one.scalings[channel].to_level(one.image.ivar[channel])
    usable = np.isfinite(level) & (level > 0)
    return np.where(usable, level, np.float32(1)).astype(np.float32)


def nuisances_of(one: Prepared, channel: int) -> NDArray[np.float64]:
    """Depth, sky level and seeing of a channel, as `NUISANCES`."""
    scaling, image = one.scalings[channel], one.image
    background = scaling.background / scaling.noise
    return np.array([np.log(scaling.noise), np.arcsinh(background), np.log(_psf_width(image, channel))])


def _psf_width(image: Image, channel: int) -> float:
    """Root mean square radius of the PSF in pixels, 1 when none is given."""
    if image.psf is None:
        return 1.0
    psf = np.asarray(image.psf if image.psf.ndim == 2 else image.psf[channel], np.float64)
    rows, cols = np.indices(psf.shape)
    light = np.maximum(psf, 0) / np.maximum(psf, 0).sum()
    row, col = (light * rows).sum(), (light * cols).sum()
    return float(max(0.1, np.sqrt((light * ((rows - row) ** 2 + (cols - col) ** 2)).sum())))
