"""Score an image: what in it does not belong there, how much, and how sure that is."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from gencosmo.anomaly.maps import SHAPES
from gencosmo.anomaly.passes import SCALES, Scale
from gencosmo.anomaly.predictive import STEPS, Predictive
from gencosmo.anomaly.views import Evidence, Look, Raw, evidence_of, look, own_widths
from gencosmo.anomaly.widths import LEAST_PIXELS, widths_of_card
from gencosmo.errors import Cancelled, GencosmoWarning, UsageError
from gencosmo.image import Image, as_image
from gencosmo.priors.base import Denoiser, World
from gencosmo.result import TARGETS, Result
from gencosmo.scaling import neighbour_noise
from gencosmo.tasks.detector import AnomalyDetector, TileScores
from gencosmo.tasks.evidence import Laid, denoiser_of, lay_out, nuisances_of
from gencosmo.tasks.habits import rows_of

__all__ = ["Explanation", "score"]

Float = NDArray[np.float32]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why each pixel stands where it does on the map.

    Attributes
    ----------
    scales : tuple of str
        Labels of the scales.
    shapes : tuple of str
        Over what deviations were averaged: one pixel, boxes, lines.
    z : ndarray (S, C, H, W)
        Calibrated deviations at each scale.
    mean : ndarray (S, C, H, W)
        Predicted values in the image's units.
    source : ndarray of uint8 (C, H, W)
        The strongest: ``scale * len(shapes) + shape``.
    log_prob : ndarray (S, C, H, W)
        Log densities in the image's units.
    """

    scales: tuple[str, ...]
    shapes: tuple[str, ...]
    z: Float
    mean: Float
    source: NDArray[np.uint8]
    log_prob: Float


def score(
    image: Any,
    mask: Any = None,
    *,
    ivar: Any = None,
    prior: str | Denoiser = "sky-small",
    detector: AnomalyDetector | None = None,
    target: World = "frame",
    scales: Sequence[Scale] = SCALES,
    tile: int = 64,
    family: str = "gaussian",
    parameter: float = 4.0,
    nuisances: Any = None,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Result:
    """Say how surprising every pixel of an image is, and the image as a whole.

    Parameters
    ----------
    image : ndarray (H, W) or (C, H, W), masked array, NDData, CCDData, path, or Image
        In any linear units; never written to. NaN counts as masked.
    mask : array-like (H, W) or (C, H, W), optional
        True or non-zero = bad; masked pixels are not scored and not looked at.
    ivar : array-like or float, optional
        Inverse variance in the image's units; needed for ``target="scene"``.
    prior : str or Denoiser
        Name of a shipped prior, path of a card, or a loaded prior.
    detector : AnomalyDetector, optional
        Fitted on normals: gives p-values that hold, and scores that see more than the map. Its prior, target, scales
        and tile count then.
    target : {"frame", "scene"}
        Compare with the pixel as it would be seen again, or with the noise-free scene plus the noise of `ivar`.
    scales : sequence of Scale
        How pixels are hidden (`gencosmo.anomaly.passes`).
    tile : int
        Side of the tiles, in pixels.
    family, parameter : str, float
        Density of the log-likelihood map: ``gaussian``, ``student_t`` (degrees of freedom), ``poisson_gaussian``
        (counts per unit of flux).
    nuisances : array-like (q,), optional
        The values that the detector was fitted with as `nuisances`, for this image.
    seed : int
        Of the noise under which soft scales look.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:N``.
    progress : callable, optional
        ``progress(done, total)``, in thousandths of a pass.
    cancel : threading.Event, optional
        Stops the work with `Cancelled` when set.

    Returns
    -------
    Result
        `anomaly_map`: signed deviations, as Gaussian sigmas; 0 where nothing was scored. `anomaly_score`: with a
        detector the combined score of the most abnormal tile, without one the largest deviation. `p_value`: with a
        detector by counting normals; without one *nominal*, from the prior's own calibration, with
        ``meta["p_value_kind"] == "nominal"``. `mean`, `std`: prediction of every pixel from the others. ``meta`` has
        ``tiles`` (`TileScores`), ``explanation`` (`Explanation`) and ``image``.

    Raises
    ------
    InputError
        Nothing to score, too small, no noise for ``scene``.
    UsageError
        Options out of range, a detector that is not fitted.
    """
    asked = as_image(image, mask, ivar)
    if detector is not None and detector.calibration is not None:
        nuisances = rows_of(None if nuisances is None else [nuisances], 1, detector.nuisances)[0]
    how, denoiser = _how(detector, prior, target, tuple(scales), tile, device)
    how = replace(how, family=family, parameter=parameter)
    if detector is None and asked.ivar is None and hasattr(denoiser, "card"):
        _warn_of_steps(asked)
    start = time.perf_counter()
    laid = lay_out([asked], denoiser, how.world, seed)
    watch = _watch(progress, cancel)
    found, raws = look(denoiser, laid.canvas, how, noise=laid.noise, features=detector is not None, watch=watch)
    tiles, evidence = _judge(detector, laid, raws, nuisances, denoiser, how.world)
    seconds = {"run": time.perf_counter() - start}
    return _result(asked, laid, how, found, evidence, tiles, detector, denoiser, seed, seconds)


def _how(
    detector: AnomalyDetector | None,
    prior: str | Denoiser,
    target: World,
    scales: tuple[Scale, ...],
    tile: int,
    device: str,
) -> tuple[Look, Denoiser]:
    if target not in TARGETS:
        raise UsageError(f"target is {target!r}, expected one of {', '.join(TARGETS)}", code="target")
    if not 8 <= tile <= 1024:
        raise UsageError(f"tile is {tile}, expected 8 to 1024 pixels")
    if detector is None:
        if target == "scene":
            scales = tuple(scale for scale in scales if scale.level > 1)
        return Look(scales, tile=tile, world=target), denoiser_of(prior, device)
    if detector.calibration is None:
        raise UsageError("the detector has seen no normals", code="not_fitted", hint="call fit() first")
    return detector.how, denoiser_of(detector.prior, device)


def _warn_of_steps(image: Image) -> None:
    """Warn where deviations mean little: in planes whose noise a digitiser has swallowed."""
    for channel, plane in enumerate(image.data):
        good = ~image.mask[channel]
        step, coarse = neighbour_noise(plane, good)
        if not coarse or not good.any():
            continue
        if np.ptp(plane[good]) == 0:
            text = f"all pixels of channel {channel} have the value {plane[good][0]:g} (as float32): nothing stands out"
            warnings.warn(GencosmoWarning(text, code="constant"), stacklevel=3)
            continue
        text = (
            f"most neighbours in channel {channel} are equal, and others differ by {step:.3g}: the noise is unknown, "
            "and nominal p-values mean nothing (a detector fitted on normals tells what is usual)"
        )
        warnings.warn(GencosmoWarning(text, code="coarse"), stacklevel=3)


def _watch(progress: Progress | None, cancel: threading.Event | None) -> Progress:
    def watch(done: int, total: int) -> None:
        if cancel is not None and cancel.is_set():
            raise Cancelled(f"cancelled after {done // STEPS} of {total // STEPS} passes")
        if progress is not None:
            progress(done, total)

    return watch


def _judge(
    detector: AnomalyDetector | None, laid: Laid, raws: list[Raw], nuisances: Any, denoiser: Denoiser, world: World
) -> tuple[TileScores | None, list[Evidence]]:
    """Scores of the tiles (with a detector), and the evidence with deviations calibrated by the best there is."""
    if detector is not None:
        rows = [np.append(nuisances_of(laid.prepared[0], channel), nuisances) for _, channel in laid.plane_of]
        return detector.judge_raws(raws, np.array(rows))
    quantile = getattr(denoiser, "quantile", None)
    widths = None
    if quantile is not None:
        own = sum(int(raw.scored.sum()) for raw in raws) >= LEAST_PIXELS
        widths = (
            own_widths(raws)
            if own
            else widths_of_card(float(quantile("68", world)), float(quantile("95", world)), len(raws[0].z))
        )
    return None, [evidence_of(raw, widths, ()) for raw in raws]


def _result(
    image: Image,
    laid: Laid,
    how: Look,
    found: Predictive,
    evidence: list[Evidence],
    tiles: TileScores | None,
    detector: AnomalyDetector | None,
    denoiser: Denoiser,
    seed: int,
    seconds: dict[str, float],
) -> Result:
    anomaly_map = np.stack([one.stack.anomaly_map for one in evidence])
    prepared = laid.prepared[0]
    best = min(range(len(how.scales)), key=lambda k: (not how.scales[k].hard, how.scales[k].block))
    spread = prepared.spreads(found.var[best].clamp(min=0).sqrt())
    if tiles is None:
        worst, p_value, kind = *_nominal(anomaly_map, evidence), "nominal"
    else:
        worst, p_value = tiles.image_score()
        kind = "conformal"
    meta = {
        "p_value_kind": kind,
        "tiles": tiles,
        "explanation": _explain(prepared, how, found, evidence),
        "image": image,
        "peaks": None if detector is None or detector.calibration is None else detector.calibration.peaks,
        "passes": found.passes,
        "tile": how.tile,
    }
    card = getattr(denoiser, "card", None)
    named = (
        {"prior": type(denoiser).__name__} if card is None else {"prior": card.name, "prior_hash": card.weights_sha256}
    )
    return Result(
        mean=image.restore(np.where(image.mask, image.data, prepared.values(found.mean[best])).astype(np.float32)),
        std=image.restore(np.where(image.mask, np.float32(0), spread).astype(np.float32)),
        flags=None if image.flags is None else image.restore(image.flags.copy()),
        target=how.world,
        unit=image.unit,
        anomaly_map=image.restore(anomaly_map),
        anomaly_score=worst,
        p_value=p_value,
        meta=meta,
        provenance={**named, "seed": seed, "steps": found.passes},
        timings=seconds,
    )


def _nominal(anomaly_map: Float, evidence: list[Evidence]) -> tuple[float, float]:
    """Largest deviation, and how improbable it is among this many independent Gaussian pixels."""
    worst = float(np.abs(anomaly_map).max())
    count = sum(int(one.scored.sum()) for one in evidence)
    single = np.log(2.0) + float(special.log_ndtr(-worst))
    return worst, float(-np.expm1(count * np.log1p(-np.exp(min(single, -1e-12)))))


def _explain(prepared: Any, how: Look, found: Predictive, evidence: list[Evidence]) -> Explanation:
    noise = np.array([s.noise for s in prepared.scalings], np.float32)[:, None, None]
    log_prob = prepared.planes(found.log_prob)
    scored = np.stack([one.scored for one in evidence])
    return Explanation(
        scales=tuple(scale.label for scale in how.scales),
        shapes=SHAPES,
        z=np.stack([one.z for one in evidence], axis=1),
        mean=prepared.values(found.mean),
        source=np.stack([one.stack.source for one in evidence]),
        log_prob=np.where(scored, log_prob - np.log(noise), np.float32(0)).astype(np.float32),
    )
