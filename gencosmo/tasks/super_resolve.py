"""From an image, its PSF and its noise to the scene on a finer grid, with what the data say and what the prior."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import GencosmoWarning, InputError, UsageError
from gencosmo.flags import bits
from gencosmo.given import draws
from gencosmo.image import Image, as_image, require_signal
from gencosmo.priors import load_prior, resolve_device
from gencosmo.priors.base import Denoiser
from gencosmo.priors.diffusion import DiffusionPrior
from gencosmo.result import Result
from gencosmo.sampling.linear import EVALUATIONS, LinearPosterior, sample_linear
from gencosmo.sampling.lowpass import TRAINED_MEAN, Doubt
from gencosmo.tasks.domain import judge_domain
from gencosmo.tasks.fluxes import flux_mode_of
from gencosmo.tasks.measured import Float, Measured, measure, psf_of, scale_of

__all__ = ["Mode", "deconvolve", "super_resolve"]

Progress = Callable[[int, int], None]
Mode = Literal["fast", "quality", "walk"]
SAMPLES = 8
RESIDUAL = 0.1
"""Relative residual of the last solve above which it is told."""
MISFIT = 3.0
"""Mean squared misfit, in units of the noise, above which it is told."""


def super_resolve(
    image: Any,
    scale: int | tuple[int, int],
    *,
    psf: Any = None,
    ivar: Any = None,
    mask: Any = None,
    prior: str | Denoiser = "sky-scenes",
    samples: int = SAMPLES,
    steps: int | None = None,
    mode: Mode = "fast",
    flux_mode: str = "auto",
    psf_sampling: int = 1,
    seed: int = 0,
    device: str = "auto",
    max_fill: float = 0.6,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Result:
    """Estimate the scene behind an image on a finer grid, through a known PSF.

    Parameters
    ----------
    image : ndarray (H, W) or (C, H, W), masked array, NDData, CCDData, path, or Image
        In any linear units; never written to. NaN counts as masked.
    scale : int or (int, int)
        Fine pixels per pixel of the image, 1 to 8, along rows and columns; 1 sharpens on the same grid.
    psf : ndarray (h, w), (C, h, w) or (R, K, h, w), optional
        Unit-sum PSF with the source in the middle of pixel ``(h // 2, w // 2)``; may come with the image. The last form
        is a PSF that varies over the field: nodes in the middle of R x K equal parts of the image, interpolated.
    ivar : array-like or float, optional
        Inverse variance of the pixels; needed, may come with the image.
    mask : array-like (H, W) or (C, H, W), optional
        True or non-zero = bad: no data there, the prior bridges it.
    prior : str or Denoiser
        Name of a shipped prior, path of a card, or a loaded prior. A prior without a card (`GaussianPrior`) speaks of
        the image in its own units, as flux per area of a pixel of the image.
    samples : int
        Posterior samples. Trained priors: draws around the mean of one walk without noise, of the posterior linearised
        there; the mean is the same whatever the number, 0 too, the spread up to 16, and nearly all of the time.
    steps : int, optional
        Levels, each with an evaluation of the network; default 16.
    mode : {"fast", "quality", "walk"}
        ``quality`` uses the network's own Jacobian: seven evaluations per level. ``walk``: each sample is a walk of its
        own with noise, mean and spread are those of the samples; too narrow on sources for trained priors. Priors
        without a card always walk.
    flux_mode : {"auto", "sum", "sb"}
        ``sum``: values are flux per pixel, so that sums over an area stay (values are divided by the area's factor).
        ``sb``: flux per area, values stay. ``auto``: by the image's unit; ``sum`` without one.
    psf_sampling : int
        PSF pixels per pixel of the image. 1: as stars on the image look, the image's pixels included. The scale: the
        optics on the fine grid, without the image's pixels.
    seed : int
        Seed of the samples: the same seed gives the same bytes.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:N``.
    max_fill : float
        Largest share of masked pixels in a channel.
    progress : callable, optional
        ``progress(done, total)``.
    cancel : threading.Event, optional
        Stops the work with `Cancelled` when set.

    Returns
    -------
    Result
        `mean`, `std`, `samples`, `filled`, `flags` and `prior_share` on the fine grid; `residual` on the image's, and
        `chi2`; with a trained prior `quantiles`, but for ``walk``. ``meta``: ``scale`` (rows, cols), ``flux_mode``.

    Raises
    ------
    InputError
        `no_psf`, `bad_psf`, `no_noise`, `flux_mode`, shapes that differ, too little to work from.
    UsageError
        Options out of range; `bad_scale`.
    PriorError, DeviceError
        From loading the prior.
    """
    start = time.perf_counter()
    asked = as_image(image, mask, ivar)
    factors = scale_of(scale)
    _check_mode(mode)
    samples, steps, seed = draws(samples, steps, seed)
    kernel = psf_of(asked, psf)
    flux = flux_mode_of(asked.unit, flux_mode)
    if asked.ivar is None:
        raise InputError(
            "super-resolution needs the noise of every pixel, and the image has none",
            code="no_noise",
            hint="give ivar= (one over the variance; a number will do)",
        )
    require_signal(asked, max_fill=max_fill)
    denoiser = load_prior(prior, device) if isinstance(prior, str) else prior
    card = denoiser.card if isinstance(denoiser, DiffusionPrior) else None
    place = str(denoiser.device) if isinstance(denoiser, DiffusionPrior) else resolve_device("cpu")
    flags = _fine_flags(asked, factors)
    if card is not None:
        flags |= judge_domain(_fine_image(asked, factors, flags), card)
    around = card is not None and (mode != "walk" or not samples)
    doubt = TRAINED_MEAN if around else None
    sampling = {"samples": samples, "evaluations": steps or EVALUATIONS, "mode": "fast" if mode == "walk" else mode}
    found = _channels(
        asked,
        denoiser,
        (kernel, factors, psf_sampling),
        sampling | {"cancel": cancel, "doubt": doubt, "around": around},
        (seed, place, card is not None),
        progress,
    )
    provenance = {
        "prior": type(denoiser).__name__ if card is None else card.name,
        "prior_hash": "" if card is None else card.weights_sha256,
        "seed": seed,
        "samples": samples,
        "steps": found[0][1].evaluations,
        "mode": mode,
        "device": place,
    }
    return _result(asked, found, factors, (flux, doubt), flags, provenance, {"run": time.perf_counter() - start})


def deconvolve(image: Any, psf: Any = None, **options: Any) -> Result:
    """Sharpen an image on its own grid: :func:`super_resolve` with scale 1.

    Parameters
    ----------
    image : ndarray (H, W) or (C, H, W), masked array, NDData, CCDData, path, or Image
    psf : ndarray, optional
        As for :func:`super_resolve`; may come with the image.
    options : keyword arguments
        All other options of :func:`super_resolve` but `scale`.

    Returns
    -------
    Result

    Raises
    ------
    InputError, UsageError, PriorError, DeviceError
        As :func:`super_resolve`.
    """
    return super_resolve(image, 1, psf=psf, **options)


def _channels(
    image: Image,
    denoiser: Denoiser,
    optics: tuple[Float, tuple[int, int], int],
    options: Mapping[str, Any],
    how: tuple[int, str, bool],
    progress: Progress | None,
) -> list[tuple[Measured, LinearPosterior]]:
    """The posterior of each channel. `optics`: PSF, scale, sampling; `how`: seed, device, has the prior a card."""
    kernel, scale, sampling = optics
    seed, device, trained = how
    channels, found = image.shape[0], []
    for channel in range(channels):
        one = measure(
            image,
            channel,
            kernel[channel] if kernel.ndim == 3 else kernel,
            scale,
            sampling,
            seed=seed,
            device=device,
            in_noise=trained,
            guess=trained,
        )
        posterior = sample_linear(
            denoiser,
            one.canvas,
            one.measured,
            progress=_part(progress, channel, channels),
            **options,
        )
        if posterior.residual > RESIDUAL:
            _warn(f"the last solve ended at a relative residual of {posterior.residual:.2g}", "solve_residual")
        found.append((one, posterior))
    return found


def _check_mode(mode: str) -> None:
    if mode not in ("fast", "quality", "walk"):
        raise UsageError(f"mode is {mode!r}, expected fast, quality or walk", code="usage")


def _part(progress: Progress | None, channel: int, channels: int) -> Progress | None:
    """Progress of one channel as progress of all."""
    if progress is None:
        return None
    return lambda done, total: progress(channel * total + done, channels * total)


def _spread(array: NDArray[Any], scale: tuple[int, int]) -> NDArray[Any]:
    """Every pixel of the image as a block of the fine grid, (C, H s, W s)."""
    return array.repeat(scale[0], axis=-2).repeat(scale[1], axis=-1)


def _fine_flags(image: Image, scale: tuple[int, int]) -> NDArray[np.uint32]:
    flags = np.zeros(image.shape, np.uint32) if image.flags is None else image.flags
    return _spread(flags | np.where(image.mask, np.uint32(bits("FILLED")), np.uint32(0)), scale)


def _fine_image(image: Image, scale: tuple[int, int], flags: NDArray[np.uint32]) -> Image:
    """What the card is asked about: pixels and holes of the fine grid."""
    width = None if image.pixel_scale is None else image.pixel_scale / float(np.sqrt(scale[0] * scale[1]))
    return Image(data=np.zeros(flags.shape, np.float32), flags=flags, pixel_scale=width)


def _result(
    image: Image,
    found: list[tuple[Measured, LinearPosterior]],
    scale: tuple[int, int],
    how: tuple[str, Doubt | None],
    flags: NDArray[np.uint32],
    provenance: Mapping[str, Any],
    timings: Mapping[str, float],
) -> Result:
    flux, doubt = how
    area = np.float32(scale[0] * scale[1] if flux == "sum" else 1)
    pedestal = None
    if image.background is not None:
        pedestal = _spread(np.broadcast_to(np.asarray(image.background, np.float32), image.shape), scale)

    def values(planes: list[Float]) -> Float:
        stacked = np.stack([one.scaling.to_values(p) for (one, _), p in zip(found, planes, strict=True)], axis=-3)
        whole: Float = (stacked if pedestal is None else stacked + pedestal) / area
        return image.restore(whole)

    noise = np.array([one.scaling.noise for one, _ in found], np.float32)[:, None, None]
    std = np.stack([one.scene(p.std) for one, p in found]) * noise / area
    draws = [None if p.samples is None else one.scene(p.samples) for one, p in found]
    residual = np.stack([one.residual(p.mean) for one, p in found])
    ivar = np.zeros(image.shape, np.float32) if image.ivar is None else image.ivar
    good = ~image.mask & (ivar > 0) & np.isfinite(ivar)
    chi2 = float((residual[good].astype(np.float64) ** 2 * ivar[good]).mean()) if good.any() else None
    if chi2 is not None and chi2 > MISFIT:
        _warn(
            f"seen through the psf, the result misses the image by chi2 {chi2:.3g}, expected about 1: the psf or the "
            "noise (ivar) is not that of the image",
            "misfit",
        )
    return Result(
        mean=values([one.scene(p.mean) for one, p in found]),
        std=image.restore(std),
        samples=None if draws[0] is None else values([d for d in draws if d is not None]),
        filled=image.restore(_spread(image.mask, scale)),
        flags=image.restore(flags),
        target="scene",
        unit=image.unit,
        prior_share=image.restore(np.stack([one.scene(p.prior_share) for one, p in found])),
        residual=image.restore(residual),
        chi2=chi2,
        quantiles={} if doubt is None else {0.68: 1.0, 0.95: doubt.honest.quantile95},
        meta={"scale": scale, "flux_mode": flux},
        provenance=provenance,
        timings=timings,
    )


def _warn(text: str, code: str) -> None:
    warnings.warn(GencosmoWarning(text, code=code), stacklevel=4)
