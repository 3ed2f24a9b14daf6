"""An image as a measurement of a finer scene: operator, data and canvas, and the way back."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from gencosmo.errors import GencosmoWarning, InputError, UsageError
from gencosmo.given import plain
from gencosmo.image import Image
from gencosmo.operators import Binning, Composed, LinearOperator, Psf, VaryingPsf
from gencosmo.operators.profiles import fine_psf, psf_centre, psf_fwhm
from gencosmo.sampling.solve import Measurement
from gencosmo.scaling import Scaling, measure_scaling
from gencosmo.windows import Canvas

__all__ = ["Measured", "measure", "psf_of", "scale_of"]

Float = NDArray[np.float32]
LARGEST_SCALE = 8
LIGHT = 0.997
"""Share of a PSF's light whose reach the canvas adds around the image."""
MARGIN_MAX = 48
"""Largest such reach (pixels of the image)."""
AROUND = 6
"""Pixels of the image around an unseen one from which its possible height is taken."""
OFF_CENTRE = 0.15
"""Pixels of the image by which a PSF's centroid may miss its middle without a word."""


@dataclass(frozen=True, eq=False)
class Measured:
    """One channel as a measurement.

    Attributes
    ----------
    canvas : Canvas
        One plane, the scene with a margin.
    measured : Measurement
        The channel with the same margin, masked there.
    scaling : Scaling
    scale : (int, int)
    margin : (int, int)
        Rows and columns of the image's pixels added on each side.
    """

    canvas: Canvas
    measured: Measurement
    scaling: Scaling
    scale: tuple[int, int]
    margin: tuple[int, int]

    def scene(self, flat: Tensor) -> Float:
        """Planes (..., H s, W s) of a flat tensor (..., N), without margin: flux per area of an image's pixel."""
        rows, cols = (m * s for m, s in zip(self.margin, self.scale, strict=True))
        plane = self.canvas.view(flat, 0)
        inside: Float = plane[..., rows : plane.shape[-2] - rows, cols : plane.shape[-1] - cols].cpu().numpy()
        return inside

    def residual(self, mean: Tensor) -> Float:
        """Data minus the measurement of a mean (N,), in the image's units, without the margin."""
        seen = self.measured.operator.forward(self.canvas.view(mean, 0)[None])
        rest = torch.where(self.measured.ivar > 0, self.measured.values - seen, 0.0)[0]
        rows, cols = self.margin
        inside: Float = rest[rows : rest.shape[0] - rows, cols : rest.shape[1] - cols].cpu().numpy()
        return inside * np.float32(self.scaling.noise)


def scale_of(scale: Any) -> tuple[int, int]:
    """Factors for rows and columns from what the user gave.

    Raises
    ------
    UsageError
        `bad_scale`.
    """
    pair = tuple(scale) if isinstance(scale, (tuple, list)) else (scale, scale)
    whole = len(pair) == 2 and all(isinstance(s, (int, np.integer)) and not isinstance(s, bool) for s in pair)
    if not whole or not all(1 <= s <= LARGEST_SCALE for s in pair):
        raise UsageError(
            f"scale is {scale!r}, expected a whole number from 1 to {LARGEST_SCALE}, or a pair (rows, columns)",
            code="bad_scale",
        )
    return int(pair[0]), int(pair[1])


def psf_of(image: Image, psf: Any) -> Float:
    """The PSF to use: (h, w), (C, h, w), or (R, K, h, w) for nodes in the middle of R x K equal parts of the image.

    Raises
    ------
    InputError
        `no_psf`: none given and none in the image; `bad_psf`.
    """
    chosen = image.psf if psf is None else psf
    if chosen is None:
        raise InputError(
            "no psf: none was given, and the image brings none",
            code="no_psf",
            hint="pass psf= (--psf): an array, or see gencosmo.operators.profiles for Gaussian, Moffat and Airy",
        )
    values = plain("psf", chosen)
    if values.dtype.kind not in "biuf":
        raise InputError(
            f"psf is {values.dtype}, expected an array of numbers",
            code="bad_psf",
            hint="gencosmo.operators.profiles makes Gaussian, Moffat and Airy",
        )
    values = values.astype(np.float32)
    if values.ndim not in (2, 3, 4) or (values.ndim == 3 and values.shape[0] != image.shape[0]) or values.size == 0:
        raise InputError(
            f"psf has shape {values.shape}, expected (h, w), ({image.shape[0]}, h, w) or (rows, columns, h, w)",
            code="bad_psf",
        )
    if not np.isfinite(values).all():
        raise InputError("psf has non-finite values", code="bad_psf", hint="crop it, or set them to zero")
    total = values.sum((-2, -1), dtype=np.float64)
    if not np.allclose(total, 1, atol=1e-3):
        raise InputError(f"psf sums to {np.round(total, 4)}, expected 1", code="bad_psf", hint="divide it by its sum")
    return values


def measure(
    image: Image,
    channel: int,
    psf: Float,
    scale: tuple[int, int],
    sampling: int,
    *,
    seed: int,
    device: str,
    in_noise: bool,
    guess: bool,
) -> Measured:
    """Make the measurement of one channel.

    Parameters
    ----------
    image : Image
        With `ivar`.
    channel : int
    psf : ndarray (h, w) or (R, K, h, w)
    scale : (int, int)
    sampling : int
        PSF pixels per pixel of the image: 1, or the scale.
    seed : int
    device : str
    in_noise : bool
        Work in units of the frame's noise, as trained priors want it; else in the image's own units.
    guess : bool
        Give the canvas a first guess of the scene instead of nothing.
    """
    fine = _fine(psf, scale, sampling)
    reach = _reach(fine.reshape(-1, *fine.shape[-2:]).mean(0))
    margin = tuple(min(MARGIN_MAX, -(-r // s)) for r, s in zip(reach, scale, strict=True))
    pad = ((margin[0], margin[0]), (margin[1], margin[1]))
    good = ~image.mask[channel]
    assert image.ivar is not None
    ivar = np.where(good, image.ivar[channel], np.float32(0))
    background = 0.0 if image.background is None else np.broadcast_to(image.background, image.shape)[channel]
    data = image.data[channel] - np.float32(background)
    scaling = measure_scaling(data, good, ivar) if in_noise else Scaling(0.0, 1.0)
    if image.background is not None:
        scaling = Scaling(0.0, scaling.noise)
    flux = np.pad(np.where(ivar > 0, scaling.to_flux(data), np.float32(0)), pad)
    weight = np.pad(ivar * np.float32(scaling.noise) ** 2, pad)
    # exact pixels: as exact as float32 can use
    weight = np.minimum(weight, np.float32(1e12))
    operator = _operator(fine, (flux.shape[0], flux.shape[1]), scale, margin, device)
    origin = image.origin[0] - margin[0], image.origin[1] - margin[1]
    values = torch.from_numpy(flux)[None].to(device), torch.from_numpy(weight)[None].to(device)
    measured = Measurement(operator, *values, origin)
    scene, level = _guess(measured, scale, fine) if guess else _nothing(operator)
    canvas = Canvas.from_planes(
        [scene],
        [level],
        seeds=[seed],
        origins=[(origin[0] * scale[0], origin[1] * scale[1])],
        keys=[channel],
        device=device,
    )
    return Measured(canvas, measured, scaling, scale, (margin[0], margin[1]))


def _fine(psf: Float, scale: tuple[int, int], sampling: int) -> NDArray[np.float64]:
    """PSF(s) on the scene's grid, with a word about those that will not do well."""
    if sampling != 1:
        if (sampling, sampling) != scale:
            raise UsageError(
                f"psf_sampling is {sampling}, expected 1 (the image's pixels) or the scale {scale}", code="bad_psf"
            )
        return psf.astype(np.float64)
    middle = psf.reshape(-1, *psf.shape[-2:]).mean(0)
    off = psf_centre(middle)
    if max(map(abs, off)) > OFF_CENTRE:
        _warn(
            f"the psf's centroid is {off[0]:+.2f} rows and {off[1]:+.2f} columns from pixel "
            f"({middle.shape[0] // 2}, {middle.shape[1] // 2}), which counts as its centre: sources will move by that",
            "psf_off_centre",
        )
    if max(scale) > 1 and psf_fwhm(middle) < 1.8:
        _warn(
            f"the psf is {psf_fwhm(middle):.2f} pixels wide, sampled once per pixel: its shape is not fully known",
            "psf_undersampled",
        )
    return np.stack([fine_psf(p, scale) for p in psf.reshape(-1, *psf.shape[-2:])]).reshape(
        *psf.shape[:-2], *fine_psf(middle, scale).shape
    )


def _reach(psf: NDArray[np.float64]) -> tuple[int, int]:
    """Rows and columns from the centre within which `LIGHT` of the light falls."""
    reach = []
    for axis in (0, 1):
        profile = np.abs(psf).sum(1 - axis)
        distance = np.abs(np.arange(profile.size) - profile.size // 2)
        inside = np.cumsum(np.bincount(distance, weights=profile)) / profile.sum()
        reach.append(int(np.searchsorted(inside, LIGHT)) + 1)
    return reach[0], reach[1]


def _operator(
    fine: NDArray[np.float64], shape: tuple[int, int], scale: tuple[int, int], margin: tuple[int, ...], device: str
) -> LinearOperator:
    """PSF and binning on the plane with its margin; binning takes means: the scene is surface brightness."""
    whole = shape[0] * scale[0], shape[1] * scale[1]
    optics: LinearOperator
    if fine.ndim == 2:
        optics = Psf(torch.from_numpy(fine), whole, device=device)
    else:
        nodes = []
        for axis in (0, 1):
            parts = fine.shape[axis]
            inner = (shape[axis] - 2 * margin[axis]) * scale[axis]
            nodes.append(margin[axis] * scale[axis] + (np.arange(parts) + 0.5) * inner / parts - 0.5)
        optics = VaryingPsf(torch.from_numpy(fine), nodes[0], nodes[1], whole, device=device)
    return optics if scale == (1, 1) else Composed(optics, Binning(shape, scale, mean=True))


def _nothing(operator: LinearOperator) -> tuple[Tensor, Tensor]:
    return torch.zeros(operator.shape_in), torch.full(operator.shape_in, torch.inf)


def _guess(measured: Measurement, scale: tuple[int, int], fine: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
    """A rough scene and how far it may be off: the image, interpolated and corrected once by what the PSF does to it
    (van Cittert 1931); off by its noise and by twice that correction.
    """
    values, ivar = (t[0].double().cpu().numpy() for t in (measured.values, measured.ivar))
    seen = ivar > 0
    filled = _bridged(values, seen)
    first = _zoomed(filled, scale)
    blurred = measured.operator.forward(torch.from_numpy(first).float()[None].to(measured.values.device))
    lost = np.where(seen, filled - blurred[0].double().cpu().numpy(), 0.0)
    width = max(1.0, psf_fwhm(fine.reshape(-1, *fine.shape[-2:]).mean(0)) / 2.0)
    sharpness = ndimage.gaussian_filter(np.abs(_zoomed(lost, scale)), width)
    noise = np.where(seen, 1 / np.sqrt(np.where(seen, ivar, 1.0)), 0.0)
    level = np.hypot(1.5 * math.sqrt(scale[0] * scale[1]) * np.kron(noise, np.ones(scale)), 2.0 * sharpness)
    # unseen pixels: as far off as what lies around them is high, not infinitely: a prior that knows nothing of a margin
    # would let it vary without bounds, and the solver would have to put that right
    height = ndimage.maximum_filter(np.abs(filled - np.median(filled[seen])) * seen, size=2 * AROUND + 1)
    typical = float(np.median(noise[seen]))
    hidden = np.kron(~seen, np.ones(scale, bool))
    level[hidden] = np.kron(3.0 * np.hypot(height, typical), np.ones(scale))[hidden]
    return torch.from_numpy(first + _zoomed(lost, scale)).float(), torch.from_numpy(level).float()


def _bridged(values: NDArray[np.float64], seen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Unseen pixels from their neighbours, by a normalised convolution that widens until it reaches one."""
    filled, open_, width = np.where(seen, values, 0.0), ~seen, 1.0
    while open_.any() and width <= 64:
        share = ndimage.gaussian_filter(seen.astype(np.float64), width, truncate=3)
        near = open_ & (share > 1e-3)
        filled[near] = (
            ndimage.gaussian_filter(np.where(seen, values, 0.0), width, truncate=3) / np.maximum(share, 1e-9)
        )[near]
        open_, width = open_ & ~near, width * 2
    return filled


def _zoomed(values: NDArray[np.float64], scale: tuple[int, int]) -> NDArray[np.float64]:
    zoomed: NDArray[np.float64] = ndimage.zoom(values, scale, order=3, mode="grid-constant", grid_mode=True)
    return zoomed


def _warn(text: str, code: str) -> None:
    warnings.warn(GencosmoWarning(text, code=code), stacklevel=6)
