"""How good is it on MY data? Good pixels of the user's own image are hidden, filled, and compared with the truth."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import Cancelled, GencosmoWarning, InputError, UsageError
from gencosmo.flags import bits
from gencosmo.image import Image, as_image, require_signal
from gencosmo.priors import load_prior
from gencosmo.priors.diffusion import DiffusionPrior
from gencosmo.scaling import Scaling, measure_scaling
from gencosmo.tasks.classical import CLASSICAL
from gencosmo.tasks.domain import judge_domain
from gencosmo.tasks.figures import Shown, Tally, Validation
from gencosmo.tasks.hiding import PATTERNS, hits, moved
from gencosmo.tasks.inpaint import inpaint
from gencosmo.tasks.photometry import aperture_fluxes, apertures_with, find_sources, significance

__all__ = ["KINDS", "validate"]

KINDS = ("own", "hits", *PATTERNS)
"""Kinds of holes: the image's own, tracks through its sources, and the usual ones."""
SIDE = 256
"""Rounds work on pieces of this side."""
LEAST, MOST = 12, 0.3
"""A round hides at least so many pixels, and at most this share of a piece's good ones."""
EMPTY = 0.5
"""Where more than this share of a channel is masked, pieces are laid around good pixels: most others hold none."""
ON_SOURCE = 3.0
TRIES = 12
Progress = Callable[[int, int], None]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class _Piece:
    """One channel's cut-out of the image, whole or in part, in a round."""

    image: Image
    mask: Mask
    scaling: Scaling


def validate(
    image: Any,
    mask: Any = None,
    *,
    ivar: Any = None,
    prior: str | DiffusionPrior = "sky",
    kinds: Sequence[str] | None = None,
    pixels: int = 4000,
    minutes: float = 3.0,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Validation:
    """Hide known good pixels of an image, fill them, and say how well that went, beside classical fillers.

    Parameters
    ----------
    image : ndarray (H, W) or (C, H, W), masked array, NDData, CCDData, path, or Image
        As for :func:`gencosmo.inpaint`; its masked pixels stay masked and are never asked about.
    mask : array-like (H, W) or (C, H, W), optional
        True or non-zero = bad.
    ivar : array-like or float, optional
        Inverse variance in the image's units; errors are told in its units where there is one, else in those of the
        noise measured on the image.
    prior : str or DiffusionPrior
        Name of a shipped prior, path of a card, or a loaded prior.
    kinds : sequence of str, optional
        Holes to make, of `KINDS`. Default: ``own`` (the shapes of the image's own mask, moved elsewhere) and ``hits``
        (tracks through its sources); the usual defects where it has no mask.
    pixels : int
        Hidden pixels per kind to aim at.
    minutes : float
        Time after which no new round starts.
    seed : int
        Of places and shapes.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:N``.
    progress : callable, optional
        ``progress(hidden, wanted)`` in pixels, after each round.
    cancel : threading.Event, optional
        Stops the work with `Cancelled` when set.

    Returns
    -------
    Validation
        Holes that move are blind to pixel values; real masks of saturated stars are not, so figures of ``own`` are
        better than what those get.

    Raises
    ------
    InputError
        Too little to hide from.
    UsageError
        Options out of range, or an unknown kind.
    """
    asked = as_image(image, mask, ivar)
    wanted = _kinds(kinds, asked)
    if pixels < 1 or not minutes > 0:
        raise UsageError(f"pixels is {pixels}, minutes is {minutes}; expected numbers above 0")
    require_signal(asked, max_fill=1.0)
    denoiser = load_prior(prior, device) if not isinstance(prior, DiffusionPrior) else prior
    start, notes, shown = time.perf_counter(), _doubts(asked, denoiser), []
    scalings = [_scaling(asked, channel) for channel in range(asked.shape[0])]
    rng = np.random.default_rng(seed)
    tallies = {kind: Tally(kind) for kind in wanted}
    spent: set[str] = set()
    while open_ := _unfinished(tallies, spent, pixels, time.perf_counter() - start > 60 * minutes):
        for tally in open_:
            if cancel is not None and cancel.is_set():
                raise Cancelled(f"cancelled after {sum(t.hidden for t in tallies.values())} hidden pixels")
            found = _hide(rng, tally.kind, asked, scalings)
            if found is None:
                notes += [] if tally.rounds else [_nothing(tally.kind)]
                spent.add(tally.kind)
                continue
            kept = _round(tally, *found, denoiser)
            shown += [kept] if tally.rounds == 1 else []
            if progress is not None:
                progress(sum(min(t.hidden, pixels) for t in tallies.values()), pixels * len(tallies))
    kinds_found = [tally.figures() for tally in tallies.values() if tally.rounds]
    if not kinds_found:
        raise InputError("no good pixels to hide", code="nothing_observed", hint="give a larger image or fewer masks")
    facts = {
        "prior": denoiser.card.name,
        "prior_hash": denoiser.card.weights_sha256,
        "seed": seed,
        "noise": [scaling.noise for scaling in scalings],
        "unit": asked.unit,
        "seconds": round(time.perf_counter() - start, 2),
    }
    return Validation(kinds_found, notes, facts, shown)


def _kinds(kinds: Sequence[str] | None, image: Image) -> list[str]:
    if kinds is None:
        return ["own", "hits"] if image.mask.any() else ["hits", *PATTERNS]
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds:
        raise UsageError(f"kinds of holes {', '.join(unknown) or 'none'}; expected some of {', '.join(KINDS)}")
    if "own" in kinds and not image.mask.any():
        raise UsageError("kind 'own' needs a mask, and nothing of the image is masked", hint="leave it out")
    return list(dict.fromkeys(kinds))


def _doubts(image: Image, prior: DiffusionPrior) -> list[str]:
    """What the prior's card says against the image."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", GencosmoWarning)
        judge_domain(image, prior.card)
    return [w.message.message for w in caught if isinstance(w.message, GencosmoWarning)]


def _nothing(kind: str) -> str:
    why = {
        "own": "no hole of the mask is small enough to be moved",
        "hits": "no source stands out clearly enough",
    }
    return f"{kind}: nothing hidden, {why.get(kind, 'no good pixels in its reach')}"


def _scaling(image: Image, channel: int) -> Scaling:
    ivar = None if image.ivar is None else image.ivar[channel]
    return measure_scaling(image.data[channel], ~image.mask[channel], ivar)


def _unfinished(tallies: dict[str, Tally], spent: set[str], pixels: int, late: bool) -> list[Tally]:
    """Kinds that get another round; the first round of each comes whatever the clock says."""
    return [t for t in tallies.values() if t.kind not in spent and t.hidden < pixels and not (late and t.rounds)]


def _hide(rng: np.random.Generator, kind: str, image: Image, scalings: Sequence[Scaling]) -> tuple[_Piece, Mask] | None:
    """A piece of the image and good pixels of it to hide; None when several tries find none."""
    for _ in range(TRIES):
        channel = int(rng.integers(image.shape[0]))
        piece = _cut(rng, image, channel, scalings[channel])
        shape = (piece.mask.shape[0], piece.mask.shape[1])
        if kind == "own":
            pattern = moved(rng, _window(rng, image.mask[channel]))
        elif kind == "hits":
            scaling = piece.scaling
            sources = find_sources(piece.image.data[0], piece.mask, scaling.background, scaling.noise)
            pattern = hits(rng, shape, sources.places)
        else:
            pattern = PATTERNS[kind](rng, shape)
        hidden = pattern & ~piece.mask
        if LEAST <= hidden.sum() <= MOST * (~piece.mask).sum():
            return piece, hidden
    return None


def _corner(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[slice, slice]:
    row, col = (int(rng.integers(0, max(1, side - SIDE + 1))) for side in shape[-2:])
    return slice(row, row + SIDE), slice(col, col + SIDE)


def _around(place: tuple[int, int], shape: tuple[int, ...]) -> tuple[slice, slice]:
    """The piece with a pixel in its middle, or as near to it as the frame allows."""
    top, left = (int(np.clip(at - SIDE // 2, 0, max(0, s - SIDE))) for at, s in zip(place, shape, strict=True))
    return slice(top, top + SIDE), slice(left, left + SIDE)


def _any(rng: np.random.Generator, chosen: Mask) -> tuple[int, int]:
    """One of the True pixels, at random."""
    row = int(np.searchsorted(np.cumsum(chosen.sum(1)), rng.integers(chosen.sum()), side="right"))
    return row, int(rng.choice(np.flatnonzero(chosen[row])))


def _cut(rng: np.random.Generator, image: Image, channel: int, scaling: Scaling) -> _Piece:
    """A random piece of one channel."""
    mask = image.mask[channel]
    sparse = EMPTY < mask.mean() < 1
    rows, cols = _around(_any(rng, ~mask), mask.shape) if sparse else _corner(rng, image.shape)
    cut = np.s_[channel : channel + 1, rows, cols]
    background = image.background
    if isinstance(background, np.ndarray):
        background = np.broadcast_to(background, image.shape)[cut]
    piece = Image(
        data=image.data[cut],
        ivar=None if image.ivar is None else image.ivar[cut],
        flags=None if image.flags is None else image.flags[cut],
        origin=(image.origin[0] + rows.start, image.origin[1] + cols.start),
        background=background,
        unit=image.unit,
    )
    return _Piece(piece, piece.mask[0], scaling)


def _window(rng: np.random.Generator, mask: Mask) -> Mask:
    """A piece of the mask, as large as those of the image, with something in it where there is anything."""
    for _ in range(TRIES):
        window = mask[_corner(rng, mask.shape)]
        if window.any():
            break
    else:
        window = mask[_around(_any(rng, mask), mask.shape)] if mask.any() else window
    return window


def _round(tally: Tally, piece: _Piece, hidden: Mask, prior: DiffusionPrior) -> Shown:
    """Fill by everybody, compare, and keep what a picture needs."""
    image, unknown = piece.image, piece.mask | hidden
    flags = np.zeros(image.shape, np.uint32) if image.flags is None else image.flags.copy()
    flags[0][hidden] |= np.uint32(bits("USER"))
    with warnings.catch_warnings():
        # moved holes may touch and become large ones; the real image has been judged
        warnings.simplefilter("ignore", GencosmoWarning)
        result = inpaint(image.replace(flags=flags), prior=prior, max_fill=1.0)
    truth = image.data[0]
    holed = np.where(unknown, np.float32(piece.scaling.background), truth)
    fills = {"gencosmo": result.mean.reshape(truth.shape)}
    fills |= {name: fill(holed, unknown) for name, fill in CLASSICAL.items()}
    noise = np.full(truth.shape, piece.scaling.noise, np.float32)
    if image.ivar is not None:
        known = image.ivar[0] > 0
        noise[known] = image.ivar[0][known] ** -0.5
    errors = {name: ((fill - truth) / noise)[hidden] for name, fill in fills.items()}
    background, level = piece.scaling.background, piece.scaling.noise
    on_sources = (significance(truth, piece.mask, background, level) > ON_SOURCE)[hidden]
    tally.add(errors, on_sources, _inside(result, truth, hidden), _flux_errors(piece, hidden, fills))
    rival = min(list(CLASSICAL), key=lambda name: float(np.mean(errors[name].astype(np.float64) ** 2)))
    return Shown(image, hidden, result, rival, fills[rival], level)


def _inside(result: Any, truth: NDArray[np.float32], hidden: Mask) -> dict[str, Mask]:
    """Which hidden truths lie within 1 and 1.96 std, and within the calibrated intervals."""
    mean, std = (x.reshape(truth.shape)[hidden] for x in (result.mean, result.std))
    off = np.abs(mean - truth[hidden])
    widths = {"std68": 1.0, "std95": 1.96, "interval68": result.quantiles[0.68], "interval95": result.quantiles[0.95]}
    return {name: off < np.float32(width) * std for name, width in widths.items()}


def _flux_errors(piece: _Piece, hidden: Mask, fills: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float64]]:
    """Filled over true flux, less one, of the sources with hidden pixels, by filler."""
    scaling, truth = piece.scaling, piece.image.data[0]
    sources = find_sources(truth, piece.mask, scaling.background, scaling.noise)
    hit = apertures_with(hidden, sources.places)
    places, level, flux = sources.places[hit], sources.level[hit], sources.flux[hit]
    return {
        name: aperture_fluxes(np.where(hidden, fill, truth), places, level) / flux - 1 for name, fill in fills.items()
    }
