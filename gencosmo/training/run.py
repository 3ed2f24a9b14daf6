"""`gencosmo.training.train`: frames in, a prior with card, calibration and test vector out."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from gencosmo.errors import InputError, UsageError
from gencosmo.image import as_image
from gencosmo.priors import resolve_device
from gencosmo.priors.cards import card_path
from gencosmo.priors.diffusion import DiffusionPrior
from gencosmo.priors.network import NetworkShape
from gencosmo.training.course import Course, Logbook
from gencosmo.training.draws import SIMULATORS, Draws
from gencosmo.training.export import read_checkpoint, write_prior
from gencosmo.training.pack import Frame, frames_of_image, read_packed
from gencosmo.training.trainer import Report, Settings, sky_draws
from gencosmo.training.validation import HeldOut, split_frames

__all__ = ["Plan", "train"]

MINUTES = 30.0
FINE_RATE, FINE_SHARE = 3e-4, 0.75
"""Fine-tuning: learning rate, and share of a batch that comes from the user's frames; the rest stays simulated, so that
what the frames do not show is not forgotten."""
CALIBRATION_BATCHES = 150
NEW_PRIOR: dict[str, Any] = {"sigma_max": 1e5, "correlation_length": 2.0, "largest_hole": 32, "pixel_scale": (0.0, 1e9)}
"""What a card says when neither a person nor another prior does."""


@dataclass(frozen=True)
class Plan:
    """What a run is asked to do; words for the card are taken as they are.

    Attributes
    ----------
    start : str, Path or None
        Prior to begin with, by name or card; None begins from nothing.
    minutes, tiles : float, int or None
        Budget; with neither, half an hour. A budget in tiles alone gives the same weights every time.
    seed, batch : int
    rate, real_share : float or None
        Highest learning rate, and share of real tiles in a batch; None = what suits `start`.
    shape : NetworkShape or None
        Architecture; None = that of `start`, else of the shipped `sky` prior. With `start` it may be wider or deeper
        than its own, and begins by answering as that does.
    simulator : str or None
        Simulator of the tiles that do not come from frames; None = that of `start`, else ``sky``.
    device : str
    description, licence : str
    pixel_scale : (float, float) or None
        Lowest and highest scale of the frames, arcsec or micrometres per pixel; None = what the frames say.
    calibration : int
        Batches of validation tiles for the calibration.
    overwrite : bool
        Replace a prior of that name.
    """

    start: str | Path | None = None
    minutes: float | None = None
    tiles: int | None = None
    seed: int = 0
    batch: int = Settings.batch
    rate: float | None = None
    real_share: float | None = None
    shape: NetworkShape | None = None
    simulator: str | None = None
    device: str = "auto"
    description: str = ""
    licence: str = ""
    pixel_scale: tuple[float, float] | None = None
    calibration: int = CALIBRATION_BATCHES
    overwrite: bool = False

    def __post_init__(self) -> None:
        for name, low in (("minutes", 0), ("tiles", 0), ("batch", 1), ("calibration", 0)):
            value = getattr(self, name)
            if value is not None and not value > low:
                raise UsageError(f"{name} is {value}, expected a number above {low}")
        if self.simulator is not None and self.simulator not in SIMULATORS:
            raise UsageError(f"simulator is {self.simulator!r}, expected one of {', '.join(SIMULATORS)}")
        if not 0 <= self.seed < 2**31:
            raise UsageError(f"seed is {self.seed}, expected a whole number from 0 to 2^31 - 1")

    def settings(self, prior: DiffusionPrior | None) -> Settings:
        """Settings of the trainer."""
        unlimited = math.inf if self.tiles else MINUTES
        pool = Settings.simulated_pool * self.batch // Settings.batch or 1
        own = Settings(
            minutes=self.minutes or unlimited, batch=self.batch, seed=self.seed, simulated_pool=max(pool, self.batch)
        )
        known = {} if prior is None else prior.card.training
        own = replace(own, simulator=self.simulator or str(known.get("simulator", Settings.simulator)))
        if prior is not None:
            # a trained network does not need the mild start of a new one
            own = replace(own, rate=FINE_RATE, real_share=FINE_SHARE)
            own = replace(own, prior_var=prior.card.prior_var, surface=prior.card.surface)
        own = own if self.rate is None else replace(own, rate=self.rate)
        return own if self.real_share is None else replace(own, real_share=self.real_share)


def train(
    frames: Iterable[Any],
    out: str | Path,
    plan: Plan | None = None,
    *,
    group: str = "user",
    scales: Sequence[float] = (),
    report: Report = print,
    cancel: threading.Event | None = None,
) -> Path:
    """Train a prior, or adapt one, and write it.

    Parameters
    ----------
    frames : iterable of path, Frame, Image or array
        Paths of packed files (``.npz``, `gencosmo pack`); frames of network flux; images and arrays (H, W) or (C, H, W)
        in any linear units, NaN or masked = bad. Some rows or frames are held out and never trained on.
    out : str or Path
        ``FOLDER/NAME``: NAME.json (card), NAME.safetensors and NAME.calibration.json are written there, and meanwhile
        a checkpoint from which the same call goes on after a kill.
    plan : Plan, optional
        Budget, seed, prior to begin with, words for the card.
    group : str
        Group of the images and arrays; packed frames have their own.
    scales : sequence of float
        Pixel scales that the caller knows of, beside those of images.
    report : callable
        Gets a line of text at the start and after every leg.
    cancel : threading.Event, optional
        Stops the run when set.

    Returns
    -------
    Path
        The card; ``gencosmo.load_prior(path)`` loads the prior.

    Raises
    ------
    InputError
        Frames that are too few or too small.
    UsageError
        A prior of that name is there, or the checkpoint of another run.
    PriorError, DeviceError
        From loading the prior to begin with.
    Cancelled
        When `cancel` was set.
    """
    plan, card_file = plan or Plan(), Path(f"{out}.json")
    if card_file.exists() and not plan.overwrite:
        raise UsageError(f"{card_file} exists", code="exists", hint="choose another name, or overwrite it")
    kept, told = gather_frames(frames, group)
    learn, held_frames = split_frames(kept)
    device = resolve_device(plan.device)
    prior = None if plan.start is None else DiffusionPrior.load(card_path(plan.start))
    settings = plan.settings(prior)
    book = _logbook(card_file, plan, settings, prior, kept)

    def draws(seed: int) -> Draws:
        return sky_draws(learn, settings, seed, device)

    # subnormal numbers slow a CPU down a hundredfold and mean nothing in a gradient
    torch.set_flush_denormal(True)
    try:
        shape = plan.shape or (prior or DiffusionPrior.load(card_path("sky"))).network.shape
        course = Course(draws, shape, settings, plan.tiles, device)
        if prior is not None:
            course.start_from(prior.network)
        held = HeldOut(held_frames, settings.tile, settings.prior_var, settings.surface, device=device)
        report(_words(learn, held_frames, prior))
        before = book.open(lambda: held.measure(course.average.eval()))
        after = course.go(book, held, report, cancel)
    finally:
        torch.set_flush_denormal(False)
    facts = _facts(plan, card_file.stem, prior, kept, [*scales, *told])
    facts["training"] |= {"held_out": {"before": before, "after": after.to_dict()}, "rate": settings.rate}
    report(f"calibrating on {plan.calibration} batches of held-out tiles")
    state = read_checkpoint(book.checkpoint)
    path = write_prior(state, facts, learn, held_frames, card_file.parent, plan.calibration, base=prior)
    book.close()
    return path


def gather_frames(sources: Iterable[Any], group: str) -> tuple[list[Frame], list[float]]:
    """Frames of everything that :func:`train` takes, and the pixel scales that images told.

    Raises
    ------
    InputError
        When none is usable.
    """
    frames: list[Frame] = []
    scales: list[float] = []
    for source in [sources] if isinstance(sources, str | Path) else sources:
        if isinstance(source, Frame):
            frames.append(source)
        elif isinstance(source, str | Path) and str(source).endswith(".npz"):
            frames += read_packed([source])
        else:
            image = as_image(source)
            found = list(frames_of_image(image, group))
            frames += found
            if found and image.pixel_scale is not None:
                scales.append(image.pixel_scale)
    if not frames:
        raise InputError("no frame to train on", code="empty_pack", hint="give images of at least 16x16 pixels")
    return frames, scales


def _logbook(
    card_file: Path, plan: Plan, settings: Settings, prior: DiffusionPrior | None, frames: Sequence[Frame]
) -> Logbook:
    """The run's log book; the budget is not part of its identity, so that a run can be given more."""
    digest = sha256()
    for frame in frames:
        digest.update(frame.flux.tobytes())
        digest.update(frame.group.encode())
    facts = {
        "frames": digest.hexdigest(),
        "settings": {key: value for key, value in vars(settings).items() if key != "minutes"},
        "start": None if prior is None else prior.card.weights_sha256,
        "shape": None if plan.shape is None else plan.shape.to_dict(),
    }
    card_file.parent.mkdir(parents=True, exist_ok=True)
    return Logbook.of(card_file.parent, card_file.stem, facts)


def _words(learn: Sequence[Frame], held: Sequence[Frame], prior: DiffusionPrior | None) -> str:
    """The first line of a run."""
    pixels = [sum(frame.flux.size for frame in side) / 1e6 for side in (learn, held)]
    start = "from nothing" if prior is None else f"from {prior.card.name}"
    return (
        f"training {start} on {len(learn)} frames ({pixels[0]:.2f} Mpix), {len(held)} held out ({pixels[1]:.2f} Mpix)"
    )


def _facts(
    plan: Plan, name: str, prior: DiffusionPrior | None, frames: Sequence[Frame], scales: Sequence[float]
) -> dict[str, Any]:
    """What the card says beside measured figures."""
    groups = dict(Counter(frame.group for frame in frames))
    known = dict(NEW_PRIOR)
    training: dict[str, Any] = {"groups": groups, "megapixels": round(sum(f.flux.size for f in frames) / 1e6, 3)}
    licence = "not stated"
    words = f"Trained on {len(frames)} frames of {', '.join(groups)}."
    if prior is not None:
        card = prior.card
        known |= {key: getattr(card, key) for key in known}
        training["base"] = {"name": card.name, "weights_sha256": card.weights_sha256, "training": dict(card.training)}
        licence = f"not stated; begins with the weights of {card.name}: {card.licence}"
        words = f"{card.description} Adapted to {len(frames)} frames of {', '.join(groups)}."
    if scales:
        known["pixel_scale"] = (min(scales), max(scales))
    if plan.pixel_scale is not None:
        known["pixel_scale"] = plan.pixel_scale
    return {
        **known,
        "name": name,
        "description": plan.description or words,
        "licence": plan.licence or licence,
        "training": training,
    }
