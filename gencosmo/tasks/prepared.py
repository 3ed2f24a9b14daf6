"""An image on the canvas: every channel in network flux at its own noise levels, and the way back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from gencosmo.errors import InputError
from gencosmo.given import SEED_MAX, whole
from gencosmo.image import Image
from gencosmo.priors.base import World
from gencosmo.scaling import Scaling, measure_scaling
from gencosmo.windows import Canvas

__all__ = ["Prepared", "prepare"]

Float = NDArray[np.float32]
CHANNELS_MAX = 256
"""The noise counter has eight bits for the channel."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """A canvas made of one image.

    Attributes
    ----------
    image : Image
    canvas : Canvas
        One plane per channel, at the levels of the observation.
    scalings : list of Scaling
        Of each channel.
    pedestal : ndarray or None
        The image's own background, (C, H, W), subtracted before scaling.
    """

    image: Image
    canvas: Canvas
    scalings: list[Scaling]
    pedestal: Float | None

    def planes(self, flat: Tensor) -> Float:
        """A flat tensor (..., N) as an array (..., C, H, W), in network flux."""
        channels = range(self.image.shape[0])
        return torch.stack([self.canvas.view(flat, c) for c in channels], dim=-3).cpu().numpy()

    def values(self, flat: Tensor) -> Float:
        """Physical values (..., C, H, W) of a flat tensor of flux."""
        flux = self.planes(flat)
        out = np.stack([s.to_values(flux[..., c, :, :]) for c, s in enumerate(self.scalings)], axis=-3)
        return out if self.pedestal is None else out + self.pedestal

    def spreads(self, flat: Tensor) -> Float:
        """Physical standard deviations (..., C, H, W) of a flat tensor of standard deviations in flux."""
        noise = np.array([s.noise for s in self.scalings], dtype=np.float32)
        return self.planes(flat) * noise[:, None, None]


def prepare(image: Image, world: World, *, seed: int, device: str) -> Prepared:
    """Lay an image on a canvas.

    Parameters
    ----------
    image : Image
        ``meta["scaling"]``, a pair of background and noise per channel, replaces the measurement: a section of a large
        plane is scaled as the whole.
    world : {"frame", "scene"}
        In the ``frame`` world good pixels are exact (level 0); in the ``scene`` world their level is the noise that
        ``image.ivar`` gives. Masked pixels are unknown in both.
    seed : int
        64 bits, of the noise of all samples.
    device : str

    Raises
    ------
    InputError
        ``scene`` without `ivar`; more than 256 channels; values so close to the ends of float32 that their differences
        do not fit.
    """
    channels = image.shape[0]
    if channels > CHANNELS_MAX:
        raise InputError(f"image has {channels} channels, at most {CHANNELS_MAX}", code="channels", hint="split it")
    if world == "scene" and image.ivar is None:
        raise InputError(
            "target 'scene' needs the noise of every pixel, and the image has none",
            code="no_noise",
            hint="give ivar= (--ivar FILE; of stacks also --noise estimate), or ask for target frame",
        )
    seed = whole("seed", seed, 0, SEED_MAX)
    mask, pedestal = image.mask, _pedestal(image)
    data = image.data if pedestal is None else image.data - pedestal
    flux, sigma, scalings = [], [], []
    for channel in range(channels):
        ivar = None if image.ivar is None else image.ivar[channel]
        good = ~mask[channel]
        told = image.meta.get("scaling")
        scaling = measure_scaling(data[channel], good, ivar) if told is None else Scaling(*told[channel])
        if pedestal is not None:
            scaling = Scaling(0.0, scaling.noise)
        level = np.where(good, np.float32(0), np.float32(np.inf))
        if world == "scene" and ivar is not None:
            level = np.where(good, scaling.to_level(ivar), level)
        scalings.append(scaling)
        flux.append(from_dlpack(_flux(data[channel], level, scaling, channel)))
        sigma.append(from_dlpack(level))
    canvas = Canvas.from_planes(
        flux,
        sigma,
        seeds=[seed] * channels,
        origins=[image.origin] * channels,
        keys=list(range(channels)),
        device=device,
    )
    return Prepared(image, canvas, scalings, pedestal)


def _flux(plane: Float, level: Float, scaling: Scaling, channel: int) -> Float:
    """Values in flux, 0 where they are unknown."""
    with np.errstate(over="ignore", invalid="ignore"):
        flux = np.where(np.isinf(level), np.float32(0), scaling.to_flux(plane))
    if not np.isfinite(flux).all():
        raise InputError(
            f"channel {channel} has a background of {scaling.background:.3g} and a noise of {scaling.noise:.3g}: "
            "values so near the ends of float32 (3.4e38) cannot be subtracted from each other",
            code="no_signal",
            hint="give the image in other units",
        )
    return flux


def _pedestal(image: Image) -> Float | None:
    if image.background is None:
        return None
    return np.broadcast_to(np.asarray(image.background, dtype=np.float32), image.shape)
