"""Inverse variance of every pixel from a smooth first pass.

The variance belongs to the light that fell on a pixel, not to the electrons that were counted: a weight made from noisy
counts believes low counts more, and every weighted mean comes out too low.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from gencosmo.errors import InputError
from gencosmo.image import Image, as_image
from gencosmo.photon.anscombe import stabilise, unstabilise
from gencosmo.photon.noise import PhotonNoise

__all__ = ["smooth_level", "with_noise"]

Double = NDArray[np.float64]
WIDTHS = (0.8, 1.6, 3.2, 6.4)
"""Widths of the smoothing, in pixels, finest first."""
LEAST = 0.5
"""No pixel is known better than to this many electrons."""
AGREE = 2.5
"""A wider smoothing is kept while it agrees with all finer ones to this many of their standard deviations."""


def smooth_level(plane: NDArray[np.floating], good: NDArray[np.bool_], noise: PhotonNoise) -> Double:
    """Estimate the noise-free value of every pixel by the widest smoothing that its surroundings allow (Lepski 1991).

    Parameters
    ----------
    plane : ndarray (H, W)
    good : bool ndarray (H, W)
    noise : PhotonNoise

    Returns
    -------
    ndarray of float64, (H, W)
        A first pass for :func:`with_noise`, not a denoised image: it is smoother than the truth.
    """
    even = stabilise(np.where(good, plane, noise.offset), noise)
    weight = good.astype(np.float64)
    means, spreads = [], []
    for width in WIDTHS:
        cover = gaussian_filter(weight, width, mode="constant")
        square = gaussian_filter(weight, width / np.sqrt(2), mode="constant") / (4 * np.pi * width**2)
        known = cover > 1e-6
        cover = np.where(known, cover, 1)
        smooth = gaussian_filter(even * weight, width, mode="constant") / cover
        means.append(np.where(known, smooth, np.median(even[good]) if good.any() else 0))
        spreads.append(np.where(known, np.sqrt(np.maximum(square, 0)) / cover, np.inf))
    level, going = means[0], np.ones(plane.shape, bool)
    for wide in range(1, len(WIDTHS)):
        for fine in range(wide):
            going &= np.abs(means[wide] - means[fine]) <= AGREE * spreads[fine]
        level = np.where(going, means[wide], level)
    return unstabilise(level, noise)


def with_noise(image: Any, noise: PhotonNoise | Sequence[PhotonNoise], *, level: Any = None) -> Image:
    """Give an image the inverse variance of its photon statistics.

    Parameters
    ----------
    image : Image or what `as_image` takes
    noise : PhotonNoise or sequence of them
        One for all channels, or one per channel.
    level : array-like, (H, W) or (C, H, W), optional
        Noise-free values to take the variance at, for example ``denoise(...).mean``; default :func:`smooth_level`.

    Returns
    -------
    Image
        With `ivar`, and, where all channels share them, `gain` and `read_noise`; `meta["offset"]` holds the offsets.

    Raises
    ------
    InputError
        As many noises as channels are expected, and a level of the image's shape.
    """
    asked = as_image(image)
    laws = [noise] * asked.shape[0] if isinstance(noise, PhotonNoise) else list(noise)
    if len(laws) != asked.shape[0]:
        raise InputError(f"{len(laws)} noises for {asked.shape[0]} channels", code="shape_mismatch")
    if level is not None:
        level = np.asarray(level, dtype=np.float64)
        level = level[None] if level.ndim == 2 else level
        if level.shape != asked.shape:
            raise InputError(f"level is {level.shape}, image is {asked.shape}", code="shape_mismatch")
    good, ivar = ~asked.mask, np.empty(asked.shape, np.float32)
    for channel, law in enumerate(laws):
        first = smooth_level(asked.data[channel], good[channel], law) if level is None else level[channel]
        # where no light is expected, one electron may still come
        ivar[channel] = 1 / np.maximum(law.variance(first), (LEAST * law.slope) ** 2)
    told: dict[str, Any] = {"meta": dict(asked.meta) | {"offset": tuple(law.offset for law in laws)}}
    if laws[0].slope and len({(law.slope, law.floor) for law in laws}) == 1:
        told |= {"gain": laws[0].gain, "read_noise": laws[0].read_noise}
    return asked.replace(ivar=ivar, **told)
