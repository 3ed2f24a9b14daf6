"""What to do with each file (`Job`), and what happened to it (`FileReport`)."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, Literal

from gencosmo.errors import GencosmoError, UsageError
from gencosmo.image import Image
from gencosmo.io.fits import ReadOptions
from gencosmo.io.fits_write import WriteOptions
from gencosmo.io.session import Fingerprint
from gencosmo.priors.turns import check_turns
from gencosmo.result import Result

__all__ = [
    "EVERYWHERE",
    "OPS",
    "FileReport",
    "Finer",
    "Hooks",
    "Job",
    "Target",
    "part_seed",
    "plane_seed",
    "prior_identity",
    "turned_prior",
]

Target = Literal["frame", "scene"]
Progress = Callable[[int, int], None]
OnPlane = Callable[[Image, Result], None]


@dataclass(frozen=True)
class Hooks:
    """What a run calls on its way: progress (done, total), a stop sign, and each plane's image and result."""

    progress: Progress | None = None
    cancel: threading.Event | None = None
    on_plane: OnPlane | None = None

    def part(self, number: int, total: int) -> Hooks:
        """Progress within one of many units as progress of the file, in thousandths of a unit."""
        whole = self.progress
        if whole is None:
            return self
        return replace(self, progress=lambda done, of: whole(1000 * number + 1000 * done // max(1, of), 1000 * total))


def _common(job: Job, seed: int, hooks: Hooks) -> dict[str, Any]:
    """What every task of a job is asked with."""
    return {
        "prior": turned_prior(job),
        "samples": job.samples,
        "steps": job.steps,
        "seed": seed,
        "device": job.device,
        "max_fill": job.max_fill,
        "progress": hooks.progress,
        "cancel": hooks.cancel,
    }


def turned_prior(job: Job) -> Any:
    """The job's prior, asked in as many orientations as the job says."""
    if job.turns == 1:
        return job.prior
    if hasattr(job.prior, "with_turns"):
        return job.prior.with_turns(job.turns)
    from gencosmo.priors import load_prior

    return load_prior(job.prior, job.device, turns=job.turns)


def _inpaint(image: Image, job: Job, seed: int, hooks: Hooks) -> Result:
    from gencosmo.tasks.inpaint import inpaint

    result: Result = inpaint(image, target=job.target, recalibrate=job.recalibrate, **_common(job, seed, hooks))
    return result


def _denoise(image: Image, job: Job, seed: int, hooks: Hooks) -> Result:
    from gencosmo.tasks.inpaint import denoise

    result: Result = denoise(image, **_common(job, seed, hooks))
    for _ in range(job.passes - 1):
        result = denoise(_seen_again(image, result), **_common(job, seed, hooks))
    return result


def _seen_again(image: Image, first: Result) -> Image:
    """With the variance of the light that a pass found: its law at the mean, where the pass has looked."""
    from gencosmo.photon import with_noise

    laws = image.meta.get("laws")
    if not laws or image.ivar is None:
        raise UsageError(
            "a second pass needs the law of the camera, and the noise of the image is told pixel by pixel",
            code="bad_noise",
            hint="--noise estimate or file, or --gain and --read-noise; or one pass",
        )
    ivar, core = image.ivar.copy(), image.meta.get("core", ...)
    better = with_noise(image, laws, level=first.mean.reshape(image.shape)).ivar
    assert better is not None
    ivar[core] = better[core]
    return image.replace(ivar=ivar)


@dataclass(frozen=True)
class Finer:
    """How to super-resolve: finer pixels per pixel (rows, columns), and the options of `gencosmo.super_resolve`.

    `psf`: a file, `FILE[HDU]`, or a profile: `gaussian:FWHM`, `moffat:FWHM,BETA`, `airy:WAVELENGTH,APERTURE,PIXEL`.
    `noise`: standard deviation of every pixel, for files that bring none.
    """

    scale: tuple[int, int] = (2, 2)
    psf: str | None = None
    psf_sampling: int = 1
    flux_mode: str = "auto"
    mode: Literal["fast", "quality", "walk"] = "fast"
    noise: float | None = None


def _super_resolve(image: Image, job: Job, seed: int, hooks: Hooks) -> Result:
    from gencosmo.tasks.super_resolve import super_resolve

    asked = job.finer or Finer()
    return super_resolve(
        image,
        asked.scale,
        mode=asked.mode,
        flux_mode=asked.flux_mode,
        psf_sampling=asked.psf_sampling,
        **_common(job, seed, hooks),
    )


Task = Callable[[Image, "Job", int, Hooks], Result]

OPS: dict[str, Task] = {"denoise": _denoise, "inpaint": _inpaint, "super_resolve": _super_resolve}
"""What can be done to a file, by name; a new task is one function and one row."""
EVERYWHERE = ("denoise",)
"""Those that change every pixel."""


@dataclass(frozen=True)
class Job:
    """What to do with each file. `seed` is the run's; `max_fill` the largest share of masked pixels
    accepted; `finer` belongs to the operation `super_resolve`; `passes`, of `denoise`: from the second on the variance
    is that of the light which the pass before found. `turns`: orientations that the prior is asked in. `recalibrate`:
    `inpaint` is corrected by the image itself.
    """

    op: str = "inpaint"
    prior: Any = "sky"
    target: Target = "frame"
    samples: int = 0
    steps: int | None = None
    seed: int = 0
    device: str = "auto"
    max_fill: float = 0.6
    strict: bool = False
    read: ReadOptions = field(default_factory=ReadOptions)
    write: WriteOptions = field(default_factory=WriteOptions)
    finer: Finer | None = None
    passes: int = 1
    turns: int = 1
    recalibrate: bool = True

    def __post_init__(self) -> None:
        if self.op not in OPS:
            raise UsageError(f"operation {self.op!r} is not known", hint=f"expected {', '.join(OPS)}")
        if self.target not in ("frame", "scene"):
            raise UsageError(f"target is {self.target!r}, expected frame or scene")
        _within("samples", self.samples, 0, 4096)
        if self.samples and not self.write.samples and self.op in ("inpaint", "denoise"):
            raise UsageError(
                f"{self.samples} samples would be drawn and thrown away: mean and std are those of one pass",
                code="samples",
                hint="write them (WriteOptions(samples=True)), or leave samples at 0",
            )
        _within("seed", self.seed, 0, 2**64 - 1)
        _within("passes", self.passes, 1, 8)
        check_turns(self.turns)
        if self.steps is not None:
            _within("steps", self.steps, 2, 4096)
        if not 0 < self.max_fill <= 1:
            raise UsageError(f"max_fill is {self.max_fill:g}, expected a share above 0 and up to 1")

    def digest(self, companions: Iterable[Fingerprint] = ()) -> str:
        """Hash of everything that can change an output: all options, and the files they name."""
        words: dict[str, Any] = {
            "op": self.op,
            "prior": prior_identity(self.prior),
            "target": self.target,
            "samples": self.samples,
            "steps": self.steps,
            "seed": self.seed,
            "max_fill": self.max_fill,
            "read": str(replace(self.read, mask=None, ivar=None, weight=None)),
            "named": [os.path.basename(name or "") for name in (self.read.mask, self.read.ivar, self.read.weight)],
            "dq": self.write.dq,
            "floating": self.write.floating,
            "keep_samples": self.write.samples,
            "compress": self.write.compress,
            "files": sorted(other.sha256() for other in companions),
        }
        if self.passes > 1:
            words["passes"] = self.passes
        if self.turns > 1:
            words["turns"] = self.turns
        if self.op == "inpaint":
            words["recalibrate"] = self.recalibrate
        if self.finer is not None:
            words["finer"] = str(replace(self.finer, psf=os.path.basename(self.finer.psf or "")))
        return sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()[:16]


def prior_identity(prior: Any) -> str:
    """Return the hash of a prior's weights: the name alone would not tell that they were trained again.

    Raises
    ------
    PriorError
        `model_not_found`, before anything is read or computed.
    """
    from gencosmo.priors.cards import Card, card_path

    card = prior.card if hasattr(prior, "card") else Card.read(card_path(prior))
    return f"{card.name}:{card.weights_sha256}"


def _within(name: str, value: int, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise UsageError(f"{name} is {value}, expected a whole number from {low} to {high}")


@dataclass
class FileReport:
    """What happened to one file. `status`: done, copied (nothing masked), skipped, planned, or failed."""

    path: str
    out: str
    status: str = "planned"
    profile: str = ""
    planes: list[dict[str, Any]] = field(default_factory=list)
    filled: int = 0
    warnings: list[dict[str, str]] = field(default_factory=list)
    error: GencosmoError | None = None
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Plain words for JSON."""
        words = dict(self.__dict__)
        words["error"] = None if self.error is None else self.error.as_dict()
        words["seconds"] = round(self.seconds, 3)
        return words


def plane_seed(seed: int, image: Image) -> int:
    """63 bits from the run's seed and the pixels with their flags; the header does not matter."""
    digest = sha256(f"{seed}:{image.shape}".encode())
    digest.update(image.data.tobytes())
    digest.update(b"" if image.flags is None else image.flags.tobytes())
    return int.from_bytes(digest.digest()[:8], "big") >> 1


def part_seed(seed: int, plane_hash: str) -> int:
    """63 bits for a part of a plane from the run's seed and the hash of the whole plane."""
    return int.from_bytes(sha256(f"{seed}:{plane_hash}".encode()).digest()[:8], "big") >> 1
