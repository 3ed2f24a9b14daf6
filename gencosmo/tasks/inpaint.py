"""Fill masked pixels, and take the noise off the others: the posterior of an image under a prior."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gencosmo.errors import Cancelled, UsageError
from gencosmo.flags import bits
from gencosmo.given import draws
from gencosmo.image import Image, as_image, require_signal
from gencosmo.priors import load_prior
from gencosmo.priors.base import World
from gencosmo.priors.diffusion import DiffusionPrior
from gencosmo.result import TARGETS, Result
from gencosmo.sampling import Posterior, predict, sample
from gencosmo.sampling.posterior import EVALUATIONS
from gencosmo.tasks import recalibration
from gencosmo.tasks.anomaly import score as score_image
from gencosmo.tasks.domain import judge_domain
from gencosmo.tasks.prepared import Prepared, prepare
from gencosmo.windows import Canvas

__all__ = ["denoise", "inpaint", "recalibration_of"]

Progress = Callable[[int, int], None]


def inpaint(
    image: Any,
    mask: Any = None,
    *,
    ivar: Any = None,
    prior: str | DiffusionPrior = "sky",
    target: World = "frame",
    samples: int = 0,
    steps: int | None = None,
    seed: int = 0,
    device: str = "auto",
    max_fill: float = 0.6,
    score: bool = False,
    recalibrate: bool = True,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Result:
    """Fill masked pixels with their posterior mean, and say how uncertain it is.

    Parameters
    ----------
    image : ndarray (H, W) or (C, H, W), masked array, NDData, CCDData, path, or Image
        In any linear units; never written to. NaN counts as masked.
    mask : array-like (H, W) or (C, H, W), optional
        True or non-zero = bad, to be filled.
    ivar : array-like or float, optional
        Inverse variance in the image's units; needed for ``target="scene"``.
    prior : str or DiffusionPrior
        Name of a shipped prior, path of a card, or a loaded prior.
    target : {"frame", "scene"}
        What a filled pixel should be: the pixel as it would be observed again (`std` is then the scatter of a
        re-observed pixel), or the noise-free scene behind it.
    samples : int
        Posterior samples to draw. `mean` and `std` are those of one pass, whatever their number.
    steps : int, optional
        Network evaluations per sample; default 16.
    seed : int
        Seed of the samples: the same seed gives the same bytes, whatever the batch, the threads or the section read.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:N``.
    max_fill : float
        Largest share of masked pixels in a channel.
    score : bool
        Say too what of the pixels that are not masked does not belong there, as :func:`gencosmo.score` does: sets
        `anomaly_map`, `anomaly_score` and `p_value`, and ``meta["scored"]`` for :func:`gencosmo.catalog`.
    recalibrate : bool
        Measure on the image how well means, `std` and intervals do, where good pixels are hidden in the shapes of its
        holes, and correct them (`gencosmo.tasks.recalibration`); False keeps the prior's own answer. Samples and scenes
        stay as they are, and so do blocks of a larger plane that are told nothing.
    progress : callable, optional
        ``progress(done, total)``.
    cancel : threading.Event, optional
        Stops the work with `Cancelled` when set.

    Returns
    -------
    Result
        `mean` and `std` in the shape and units of the input; pixels that were not masked are bit-identical and have
        std 0.

    Raises
    ------
    InputError
        Shapes that differ, too little to work from, no noise for ``scene``.
    UsageError
        Options out of range.
    PriorError, DeviceError
        From loading the prior.
    """
    asked = as_image(image, mask, ivar)
    _check_target(target)
    samples, steps, seed = draws(samples, steps, seed)
    if not asked.mask.any():
        result = _untouched(asked, target)
        return _scored(result, asked, prior, target, seed, device, cancel) if score else result
    require_signal(asked, max_fill=max_fill)
    result = _posterior(
        asked,
        prior,
        target,
        only_masked=True,
        samples=samples,
        steps=steps,
        seed=seed,
        device=device,
        recalibrated=recalibrate,
        progress=progress,
        cancel=cancel,
    )
    return _scored(result, asked, prior, target, seed, device, cancel) if score else result


def _scored(
    result: Result,
    image: Image,
    prior: str | DiffusionPrior,
    target: World,
    seed: int,
    device: str,
    cancel: threading.Event | None,
) -> Result:
    found = score_image(image, prior=prior, target=target, seed=seed, device=device, cancel=cancel)
    return replace(
        result,
        anomaly_map=found.anomaly_map,
        anomaly_score=found.anomaly_score,
        p_value=found.p_value,
        meta={**result.meta, "scored": found},
    )


def denoise(
    image: Any,
    ivar: Any = None,
    *,
    mask: Any = None,
    prior: str | DiffusionPrior = "sky",
    samples: int = 0,
    steps: int | None = None,
    seed: int = 0,
    device: str = "auto",
    max_fill: float = 0.6,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Result:
    """Estimate the noise-free scene behind every pixel, masked ones included.

    Parameters
    ----------
    image, mask, prior, samples, steps, seed, device, max_fill, progress, cancel
        As for :func:`inpaint`.
    ivar : array-like or float
        Inverse variance of the pixels; may come with the image.

    Returns
    -------
    Result
        With ``target="scene"``; `std` is the uncertainty of the scene, everywhere.

    Raises
    ------
    InputError
        When the noise is not known, and as :func:`inpaint`.
    """
    asked = as_image(image, mask, ivar)
    samples, steps, seed = draws(samples, steps, seed)
    require_signal(asked, max_fill=max_fill)
    return _posterior(
        asked,
        prior,
        "scene",
        only_masked=False,
        samples=samples,
        steps=steps,
        seed=seed,
        device=device,
        recalibrated=False,
        progress=progress,
        cancel=cancel,
    )


def _check_target(target: str) -> None:
    if target not in TARGETS:
        raise UsageError(f"target is {target!r}, expected one of {', '.join(TARGETS)}", code="target")


def _untouched(image: Image, target: World) -> Result:
    """Nothing is masked: a copy."""
    return Result(
        mean=image.restore(image.data.copy()),
        std=image.restore(np.zeros(image.shape, np.float32)),
        filled=image.restore(np.zeros(image.shape, np.bool_)),
        flags=None if image.flags is None else image.restore(image.flags.copy()),
        target=target,
        unit=image.unit,
    )


def _posterior(
    image: Image,
    prior: str | DiffusionPrior,
    world: World,
    *,
    only_masked: bool,
    samples: int,
    steps: int | None,
    seed: int,
    device: str,
    recalibrated: bool,
    progress: Progress | None,
    cancel: threading.Event | None,
) -> Result:
    start = time.perf_counter()
    denoiser = load_prior(prior, device) if not isinstance(prior, DiffusionPrior) else prior
    extra = judge_domain(image, denoiser.card)
    prepared = prepare(image, world, seed=seed, device=str(denoiser.device))
    canvas, ready = prepared.canvas, time.perf_counter()
    moving = canvas.sigma_obs.isinf() if only_masked else None
    measured = _measured_for(prepared, denoiser) if recalibrated and world == "frame" else None
    if samples == 0:
        wanted = canvas.sigma_obs > 0 if moving is None else moving
        plan = denoiser.plan(canvas, wanted & _core(prepared), watch=_watch(progress, cancel))
        found = predict(denoiser, canvas, world=world, moving=moving, plan=plan)
        found = found if measured is None else recalibration.corrected(found, canvas, measured)
    else:
        how = {"samples": samples, "evaluations": steps or EVALUATIONS, "progress": progress, "cancel": cancel}
        found = _drawn(canvas, denoiser, measured, world=world, moving=moving, **how)
    provenance = {
        "prior": denoiser.card.name,
        "prior_hash": denoiser.card.weights_sha256,
        "seed": seed,
        "samples": samples,
        "steps": found.evaluations,
        "device": str(denoiser.device),
    }
    timings = {"prepare": ready - start, "run": time.perf_counter() - ready}
    if measured is None:
        return _result(prepared, found, denoiser, world, extra, only_masked, provenance, timings)
    told = {
        "std_factors": measured.factors,
        "surface_shares": [shares.told() for shares in measured.shares],
        "recalibration_pixels": measured.pixels,
    }
    result = _result(prepared, found, denoiser, world, extra, only_masked, provenance | told, timings)
    widths = {level: width * measured.widths[level] for level, width in result.quantiles.items()}
    return replace(result, quantiles=widths)


def _measured_for(prepared: Prepared, denoiser: DiffusionPrior) -> recalibration.Recalibration | None:
    """What the image tells of the prior. A block of a plane does not tell what the plane tells, and is told."""
    meta = prepared.image.meta
    if "core" in meta or "recalibration" in meta:
        told: recalibration.Recalibration | None = meta.get("recalibration")
        return told
    return _measured(prepared, denoiser)


def _drawn(
    canvas: Canvas,
    denoiser: DiffusionPrior,
    measured: recalibration.Recalibration | None,
    *,
    world: World,
    moving: Tensor | None,
    **how: Any,
) -> Posterior:
    """Samples, beside mean and spread of their first pass, which are better ones than theirs and are corrected."""
    first = predict(denoiser, canvas, world=world, moving=moving)
    moved = first if measured is None else recalibration.corrected(first, canvas, measured)
    drawn = sample(denoiser, canvas, world=world, moving=moving, first=first, **how)
    return replace(moved, samples=drawn.samples, evaluations=drawn.evaluations)


def recalibration_of(
    image: Image, prior: str | DiffusionPrior, *, target: World, device: str
) -> recalibration.Recalibration | None:
    """What an image tells of a prior, for ``meta["recalibration"]`` of others of its kind.

    None where :func:`inpaint` would measure nothing on it.
    """
    if target != "frame" or not image.mask.any():
        return None
    denoiser = load_prior(prior, device) if not isinstance(prior, DiffusionPrior) else prior
    return _measured(prepare(image, "frame", seed=0, device=str(denoiser.device)), denoiser)


def _measured(prepared: Prepared, denoiser: DiffusionPrior) -> recalibration.Recalibration | None:
    return recalibration.recalibrate(prepared, denoiser, _quantiles(denoiser, "frame"))


def _quantiles(denoiser: DiffusionPrior, world: World) -> dict[float, float]:
    return {0.68: denoiser.quantile("68", world), 0.95: denoiser.quantile("95", world)}


def _core(prepared: Prepared) -> Tensor:
    """Boolean (N,): the pixels that count, rows and columns ``meta["core"]`` of the image; all without it.

    The rest of a section is there to be seen: no window is computed for its sake, and its masked pixels come out as 0.
    """
    core, canvas = prepared.image.meta.get("core"), prepared.canvas
    inside = torch.full((canvas.size,), core is None, dtype=torch.bool)
    if core is not None:
        for channel in range(prepared.image.shape[0]):
            canvas.view(inside, channel)[core[1:]] = True
    return inside.to(canvas.device)


def _watch(progress: Progress | None, cancel: threading.Event | None) -> Progress:
    """Progress over windows that also looks for a stop sign."""

    def watch(done: int, total: int) -> None:
        if cancel is not None and cancel.is_set():
            raise Cancelled(f"cancelled after {done} of {total} windows")
        if progress is not None:
            progress(done, total)

    return watch


def _result(
    prepared: Prepared,
    found: Posterior,
    denoiser: DiffusionPrior,
    world: World,
    extra: np.ndarray[Any, np.dtype[np.uint32]],
    only_masked: bool,
    provenance: dict[str, Any],
    timings: dict[str, float],
) -> Result:
    image, mask = prepared.image, prepared.image.mask
    mean, std = prepared.values(found.mean), prepared.spreads(found.std)
    draws = None if found.samples is None else prepared.values(found.samples)
    if only_masked:
        mean, std = np.where(mask, mean, image.data), np.where(mask, std, np.float32(0))
        draws = None if draws is None else np.where(mask, draws, image.data)
    flags = np.zeros(mask.shape, np.uint32) if image.flags is None else image.flags.copy()
    flags |= extra | np.where(mask, np.uint32(bits("FILLED")), np.uint32(0))
    return Result(
        mean=image.restore(mean),
        std=image.restore(std),
        samples=None if draws is None else image.restore(draws),
        filled=image.restore(mask),
        flags=image.restore(flags),
        target=world,
        unit=image.unit,
        quantiles=_quantiles(denoiser, world),
        provenance=provenance,
        timings=timings,
    )
