"""`AnomalyDetector`: normals in, p-values out, with the habits of scikit-learn."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.anomaly.calibration import Calibration, Sample, calibrate, fold_numbers
from gencosmo.anomaly.conformal import conformal_p
from gencosmo.anomaly.passes import SCALES, Scale
from gencosmo.anomaly.staged import STAGED, suited
from gencosmo.anomaly.store import load_calibration, save_calibration
from gencosmo.anomaly.views import (
    LEAST_SCORED,
    LEVELS,
    VIEWS,
    Evidence,
    Look,
    Raw,
    Staging,
    evidence_of,
    look,
    own_widths,
)
from gencosmo.anomaly.widths import Widths
from gencosmo.errors import GencosmoWarning, InputError, PriorError, UsageError
from gencosmo.image import Image
from gencosmo.priors.base import Denoiser, World
from gencosmo.tasks.evidence import NUISANCES, check_scorable, denoiser_of, identity_of, lay_out, nuisances_of
from gencosmo.tasks.few import Later, Part, Shelf, batches, opened, shape_of
from gencosmo.tasks.habits import Habits, check_parameters, listed, rows_of
from gencosmo.tasks.tiles import TileScores, tile_scores

__all__ = ["AnomalyDetector", "TileScores"]

Array = NDArray[np.float64]
LEAST_NORMALS = 8
MOST_STAGED = 300
"""Known anomalies are staged in about as many tiles of the normals."""


class AnomalyDetector(Habits):
    """Scores images against normals that the user gives.

    Parameters
    ----------
    prior : str or Denoiser
        Name of a shipped prior, path of a card, or a loaded prior.
    target : {"frame", "scene"}
        ``scene`` needs the noise of every pixel.
    tile : int
        Side of the tiles that larger images are cut into, in pixels.
    views : sequence of str
        Some of ``peaks``, ``pattern``, ``places``, ``norms``, ``figures``, ``objects``, ``known``.
    known : sequence of str, optional
        Kinds of anomaly that the view ``known`` looks for, of `gencosmo.anomaly.staged.STAGED`; left out, those that
        suit the prior: ``fibre`` and ``body`` with ``cells`` only.
    scales, levels : sequence
        Of the predictive map and of the score norms.
    alpha : float
        False-alarm rate per image at which :meth:`predict` says -1.
    folds : int
        The normals are calibrated on densities that have not seen them, in this many folds of whole images.
    seed : int
    device : str

    Notes
    -----
    The p-values promise a false-alarm rate per tile, for tiles that are as exchangeable with the normals as these are
    with each other, nuisances taken into account.
    """

    def __init__(
        self,
        prior: str | Denoiser = "sky-small",
        *,
        target: World = "frame",
        tile: int = 64,
        views: Sequence[str] = VIEWS,
        known: Sequence[str] | None = None,
        scales: Sequence[Scale] = SCALES,
        levels: Sequence[float] = LEVELS,
        alpha: float = 0.01,
        folds: int = 5,
        seed: int = 0,
        device: str = "auto",
    ) -> None:
        self.given: dict[str, Any] = {
            "prior": prior, "target": target, "tile": tile, "views": views, "known": known, "scales": scales,
            "levels": levels, "alpha": alpha, "folds": folds, "seed": seed, "device": device,
        }  # fmt: skip
        check_parameters(self.given)
        self.prior, self.alpha, self.folds, self.seed, self.device = prior, alpha, folds, seed, device
        self.how = Look(
            tuple(scales), tuple(levels), tile, tuple(v for v in VIEWS if v in views), target,
            known=tuple(STAGED if known is None else known))  # fmt: skip
        self.chosen = known is not None
        self.teach = True
        self.calibration: Calibration | None = None
        self._groups: tuple[NDArray[np.int64], int] | None = None

    def fit(
        self, images: Iterable[Any], y: Any = None, *, nuisances: Any = None, groups: Any = None
    ) -> AnomalyDetector:
        """Learn what is normal.

        Parameters
        ----------
        images : iterable
            Normals: arrays (H, W) or (C, H, W), paths, Images; or one array (n, H, W). Tiles of one image are never on
            both sides of a fold.
        y : object
            Not used; scikit-learn's pipelines pass it.
        nuisances : array-like (n, q), optional
            One row per image of what may differ without meaning anything (seeing, airmass, ...), besides depth,
            background and PSF width, which are measured.
        groups : array-like (n,), optional
            Images with the same value belong together and are never on both sides of a fold: cutouts of one frame,
            overlapping tiles, one field in several bands. Without them each image is a group of its own.

        Raises
        ------
        InputError
            Too few normals, or none that can be scored.
        """
        given = listed(images)
        rows_of(nuisances, len(given), None)
        together = _groups_of(groups, len(given))
        if not self.chosen:
            # a prior of one's own, begun from `cells`, has another name and the same simulator
            card = getattr(denoiser_of(self.prior, self.device), "card", None)
            self.how = replace(self.how, known=suited(str(card.training.get("simulator", "")) if card else ""))
        with closing(Shelf()) as shelf:
            widths, sample, fold = self._crossed(shelf, *self._shelved(shelf, given, nuisances), together)
        usable = sample.usable()
        if int(usable.sum()) < LEAST_NORMALS:
            raise InputError(
                f"{int(usable.sum())} normal tiles can be scored, a calibration needs at least {LEAST_NORMALS}",
                code="too_few_normals",
                hint="give more or larger normal images, or score without a detector",
            )
        if len(set(sample.group[usable].tolist())) == 1:
            text = "all normals come from one image: what differs between images will look abnormal"
            warnings.warn(GencosmoWarning(text, code="one_normal"), stacklevel=2)
        self._groups = (sample.group[usable], len(given))
        fold = None if fold is None else fold[sample.group[usable]]
        self.calibration = calibrate(
            sample.take(usable), widths, folds=self.folds, seed=self.seed, fold=fold, teach=self.teach
        )
        return self

    def _shelved(self, shelf: Shelf, images: list[Any], nuisances: Any) -> tuple[list[tuple[int, int]], Array]:
        """Put what the passes leave of all normals on the shelf; image and channel, and nuisances, of every plane."""
        plane_of: list[tuple[int, int]] = []
        rows: list[Array] = []
        for table in self._tables(images, nuisances, normal=True):
            for raw in table.raws:
                shelf.put(raw)
            plane_of += table.plane_of
            rows.append(table.nuisances)
        return plane_of, np.concatenate(rows)

    def _crossed(
        self, shelf: Shelf, plane_of: list[tuple[int, int]], nuisances: Array, together: NDArray[np.int64]
    ) -> tuple[Widths | None, Sample, NDArray[np.int64] | None]:
        """Widths of all normals; their sample, each image with the widths of the other folds; folds by image.

        A newcomer has had no say in the widths, so a normal must have none in those it is judged by.
        """
        image = np.array([n for n, _ in plane_of])
        fold = fold_numbers(together, self.folds, self.seed) if len(set(together.tolist())) > 1 else None
        widths: Widths | None = None
        of_fold: list[Widths | None] = [None] * (1 if fold is None else int(fold.max()) + 1)
        if hasattr(denoiser_of(self.prior, self.device), "quantile"):
            widths = own_widths(shelf)
            of_fold = [widths]
            if fold is not None:
                others = (np.flatnonzero(fold[image] != k).tolist() for k in range(int(fold.max()) + 1))
                of_fold = [own_widths(Part(shelf, numbers)) for numbers in others]
        samples = []
        for raw, place, row in zip(shelf, plane_of, nuisances, strict=True):
            own = of_fold[0 if fold is None else fold[place[0]]]
            samples.append(Sample.of([evidence_of(raw, own, self.how.views)], [place], row[None]))
        return widths, Sample.joined(samples), fold

    def evaluate(self, images: Iterable[Any], *, nuisances: Any = None) -> list[TileScores]:
        """Scores of every tile of every image."""
        calibration = self._fitted()
        tables = self._tables(listed(images), nuisances)
        sample = Sample.joined([self._sample(table, calibration.widths) for table in tables])
        judged = calibration.judge(sample)
        found = []
        for number in range(int(sample.group.max(initial=-1)) + 1):
            found.append(tile_scores(sample, judged, sample.group == number))
        _warn_of_unscored(found)
        return found

    def of_normals(self) -> tuple[Array, Array, dict[str, Array]]:
        """Score, p-value and p-values by view of the images given to :meth:`fit` (n,), each tile by densities that
        have not seen it; NaN where an image could not be scored.
        """
        calibration = self._fitted()
        if self._groups is None:
            raise UsageError("a detector that was loaded does not know its normals", code="not_fitted")
        group, count = self._groups
        law = {name: conformal_p(scores, scores) for name, scores in calibration.normal.items()}
        n = len(group)
        own = {name: np.minimum(p * (n + 1) / n, 1.0) for name, p in law.items()}  # one of the n is the tile itself
        p_tile = np.minimum(conformal_p(calibration.combined, calibration.combined) - 1 / (n + 1), 1.0)
        score = np.full(count, np.nan)
        p_value = np.full(count, np.nan)
        views = {name: np.full(count, np.nan) for name in own}
        for number in np.unique(group):
            mine = group == number
            score[number] = calibration.combined[mine].max()
            p_value[number] = -np.expm1(mine.sum() * np.log1p(-min(p_tile[mine].min(), 1 - 1e-12)))
            for name, p in own.items():
                views[name][number] = p[mine].min()
        return score, p_value, views

    def judge_raws(self, raws: Sequence[Raw], nuisances: Array) -> tuple[TileScores, list[Evidence]]:
        """Scores and evidence of one image whose passes were made already (`gencosmo.score`)."""
        calibration = self._fitted()
        evidence = [evidence_of(raw, calibration.widths, self.how.views) for raw in raws]
        sample = Sample.of(evidence, [(0, k) for k in range(len(evidence))], nuisances)
        found = tile_scores(sample, calibration.judge(sample), np.ones(len(sample.group), np.bool_))
        _warn_of_unscored([found])
        return found, evidence

    def score_samples(self, images: Iterable[Any], *, nuisances: Any = None) -> Array:
        """Minus the combined score of each image's most abnormal tile (n,): lower = more abnormal."""
        return np.array([-one.image_score()[0] for one in self.evaluate(images, nuisances=nuisances)])

    def p_values(self, images: Iterable[Any], *, nuisances: Any = None) -> Array:
        """p-value of each image (n,)."""
        return np.array([one.image_score()[1] for one in self.evaluate(images, nuisances=nuisances)])

    def decision_function(self, images: Iterable[Any], *, nuisances: Any = None) -> Array:
        """`log10(p / alpha)` of each image (n,): negative = abnormal at the rate `alpha`."""
        p = self.p_values(images, nuisances=nuisances)
        return np.log10(np.maximum(p, 1e-300) / self.alpha)

    def predict(self, images: Iterable[Any], *, nuisances: Any = None) -> NDArray[np.int64]:
        """-1 abnormal, 1 normal (n,); -1 too for an image that could not be scored, of which a warning tells."""
        return np.where(self.decision_function(images, nuisances=nuisances) > 0, 1, -1)

    def fit_predict(self, images: Iterable[Any], y: Any = None, **fitted: Any) -> NDArray[np.int64]:
        """Fit, and say which of the images are abnormal among the others: -1 or 1 (n,), each by a fit to others."""
        p = self.fit(images, y, **fitted).of_normals()[1]
        return np.where(p > self.alpha, 1, -1)

    def __sklearn_is_fitted__(self) -> bool:
        """Whether normals were seen."""
        return self.calibration is not None

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the fitted detector: arrays as safetensors, options as JSON in its header; nothing executable."""
        options = {
            "target": self.how.world,
            "tile": self.how.tile,
            "views": list(self.how.views),
            "scales": [[scale.block, scale.level] for scale in self.how.scales],
            "levels": list(self.how.levels),
            "known": list(self.how.known),
            "alpha": self.alpha,
            "folds": self.folds,
            "seed": self.seed,
            "prior": identity_of(denoiser_of(self.prior, self.device)),
        }
        save_calibration(os.fspath(path), self._fitted(), options, overwrite=overwrite)

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, prior: str | Denoiser | None = None, device: str = "auto"
    ) -> AnomalyDetector:
        """Read a detector; `prior` where it is not a shipped one.

        Raises
        ------
        PriorError
            When the prior is another than the one that the detector was fitted with.
        """
        calibration, options = load_calibration(os.fspath(path))
        name, told = options["prior"]["name"], options["prior"]
        if prior is None and not told["hash"]:
            text = f"{os.fspath(path)} was fitted with a {name} that is no file"
            raise PriorError(text, code="model_hash", hint="give prior=")
        chosen = denoiser_of(name if prior is None else prior, device)
        own = identity_of(chosen)
        if own != told:
            alike = own["hash"] == told["hash"] and own["name"] == told["name"]
            text = "with another surface or calibration" if alike else f"{own['name']} {own['hash'][:12]}"
            raise PriorError(
                f"{os.fspath(path)} was fitted with {told['name']} {told['hash'][:12]}, this prior is {text}".rstrip(),
                code="model_hash",
                hint="fit again, or give prior=",
            )
        detector = cls(
            chosen,
            target=options["target"],
            tile=options["tile"],
            views=options["views"],
            known=options["known"],
            scales=[Scale(int(block), float(level)) for block, level in options["scales"]],
            levels=options["levels"],
            alpha=options["alpha"],
            folds=options["folds"],
            seed=options["seed"],
            device=device,
        )
        detector.calibration = calibration
        return detector

    @property
    def nuisances(self) -> int:
        """How many nuisances of their own the normals were given with."""
        return self._fitted().nuisance_centre.size - len(NUISANCES)

    def _fitted(self) -> Calibration:
        if self.calibration is None:
            raise UsageError("the detector has seen no normals", code="not_fitted", hint="call fit() first")
        return self.calibration

    def _tables(self, images: list[Any], nuisances: Any, *, normal: bool = False) -> Iterator[_Table]:
        """Look at all images, a batch of like ones after the other; each is opened when its batch comes."""
        given = rows_of(nuisances, len(images), None if normal else self.nuisances)
        denoiser = denoiser_of(self.prior, self.device)
        shapes = [shape_of(image) for image in images]
        tiles = sum(max(1, round(float(np.prod(shape)) / self.how.tile**2)) for shape in shapes)
        share = min(1.0, MOST_STAGED / tiles) if normal else 0.0
        planes = 0
        for numbers in batches(shapes):
            staging = Staging(share, self.seed, planes) if share else None
            some = [opened(images[k]) for k in numbers]
            for number, image in zip(numbers, some, strict=True):
                check_scorable(image, _name(images[number], number))
            table = self._table(denoiser, some, given[numbers], numbers, staging)
            planes += len(table.raws)
            yield table

    def _table(
        self, denoiser: Denoiser, images: list[Image], given: Array, numbers: list[int], staging: Staging | None
    ) -> _Table:
        laid = lay_out(images, denoiser, self.how.world, self.seed)
        _, raws = look(denoiser, laid.canvas, self.how, noise=laid.noise, staging=staging)
        nuisances = [np.append(nuisances_of(laid.prepared[n], c), given[n]) for n, c in laid.plane_of]
        return _Table(raws, [(numbers[n], c) for n, c in laid.plane_of], np.array(nuisances))

    def _sample(self, table: _Table, widths: Widths | None) -> Sample:
        evidence = [evidence_of(raw, widths, self.how.views) for raw in table.raws]
        return Sample.of(evidence, table.plane_of, table.nuisances)


@dataclass(frozen=True, eq=False)
class _Table:
    """Planes that were looked at: what is left of each, its image and channel, its nuisances."""

    raws: list[Raw]
    plane_of: list[tuple[int, int]]
    nuisances: Array


def _name(image: Any, number: int) -> str:
    """What a message calls an image: its path, or its number from 0."""
    told = os.fspath(image) if isinstance(image, str | os.PathLike) else image.name if isinstance(image, Later) else ""
    return told or f"image {number}"


def _warn_of_unscored(found: Sequence[TileScores]) -> None:
    """Warn of images whose every score is NaN."""
    bare = [number for number, one in enumerate(found) if not np.isfinite(one.score).any()]
    if bare:
        text = (
            f"{len(bare)} of {len(found)} images have no score (the first: number {bare[0]}): a tile needs "
            f"{LEAST_SCORED:.0%} of its pixels unmasked"
        )
        warnings.warn(GencosmoWarning(text, code="not_scored"), stacklevel=3)


def _groups_of(groups: Any, count: int) -> NDArray[np.int64]:
    """Number of the group of each image."""
    if groups is None:
        return np.arange(count)
    names = np.asarray(groups)
    if names.shape != (count,):
        raise UsageError(f"groups have shape {names.shape}, expected one for each of {count} images")
    return np.asarray(np.unique(names, return_inverse=True)[1], np.int64)
