"""What a validation says: errors of every filler by kind of hole, and how often the stated intervals hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.image import Image
from gencosmo.result import Result

__all__ = ["FillerFigures", "KindFigures", "Shown", "Tally", "Validation"]

Float = NDArray[np.float32]
MIN_PIXELS, MIN_SOURCES = 30, 5
"""Figures of fewer pixels or sources are not told."""


@dataclass(frozen=True)
class FillerFigures:
    """Errors of one filler on the hidden pixels of one kind, in units of a pixel's noise; None = too few pixels.

    Attributes
    ----------
    rms : float
        Root mean square error. A perfect fill of blank sky has 1: the hidden pixel's own noise.
    rms_sky, rms_sources : float or None
        The same away from sources and on them (smoothed signal over noise above 3).
    typical : float
        The error that 68 % of the pixels stay below.
    bias, bias_error : float
        Mean error, away from sources, and its uncertainty.
    flux_bias, flux_scatter : float or None
        Median of filled over true aperture flux, less one, of sources with hidden pixels; and half of the 16 to 84 %
        range.
    """

    rms: float
    rms_sky: float | None
    rms_sources: float | None
    typical: float
    bias: float
    bias_error: float
    flux_bias: float | None
    flux_scatter: float | None


@dataclass(frozen=True)
class KindFigures:
    """One kind of hole.

    Attributes
    ----------
    kind : str
    hidden, rounds, sources : int
        Pixels hidden, in how many rounds, and sources with hidden pixels whose flux was measured.
    fillers : mapping
        Name to figures; ``gencosmo`` first.
    std68, std95 : float
        Share of hidden pixels within 1 and 1.96 of the predicted standard deviation.
    interval68, interval95 : float
        The same for the prior's calibrated intervals.
    sources68, sources95 : float or None
        The calibrated intervals, on sources only.
    """

    kind: str
    hidden: int
    rounds: int
    sources: int
    fillers: Mapping[str, FillerFigures]
    std68: float
    std95: float
    interval68: float
    interval95: float
    sources68: float | None
    sources95: float | None

    @property
    def best_classical(self) -> str:
        """The classical filler with the least rms error; nobody knows beforehand which it will be."""
        others = {name: figures.rms for name, figures in self.fillers.items() if name != "gencosmo"}
        return min(others, key=others.__getitem__)


@dataclass(frozen=True, eq=False)
class Shown:
    """One round for a picture: the truth, what was hidden, and two fills of it, each (H, W)."""

    image: Image
    hidden: NDArray[np.bool_]
    result: Result
    rival: str
    rival_fill: Float
    noise: float


@dataclass(frozen=True, eq=False)
class Validation:
    """What :func:`gencosmo.validate` found.

    Attributes
    ----------
    kinds : list of KindFigures
    notes : list of str
        What should be known about the figures.
    facts : mapping
        Prior and its hash, seed, noise per channel in the image's units, seconds.
    shown : list of Shown
        The first round of each kind, for a picture.
    """

    kinds: list[KindFigures]
    notes: list[str] = field(default_factory=list)
    facts: Mapping[str, Any] = field(default_factory=dict)
    shown: list[Shown] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain words for JSON."""
        return {**self.facts, "notes": self.notes, "kinds": [_rounded(asdict(kind)) for kind in self.kinds]}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return round(value, 4) if isinstance(value, float) else value


class Tally:
    """Collects the rounds of one kind."""

    def __init__(self, kind: str) -> None:
        self.kind, self.rounds, self.hidden = kind, 0, 0
        self._errors: dict[str, list[Float]] = {}
        self._fluxes: dict[str, list[NDArray[np.float64]]] = {}
        self._on: list[NDArray[np.bool_]] = []
        self._inside: dict[str, list[NDArray[np.bool_]]] = {}

    def add(
        self,
        errors: Mapping[str, Float],
        on_sources: NDArray[np.bool_],
        inside: Mapping[str, NDArray[np.bool_]],
        fluxes: Mapping[str, NDArray[np.float64]],
    ) -> None:
        """One round: errors (n,) in units of the noise by filler, which pixels lie on sources, which truths lie inside
        each interval, and relative errors of source fluxes by filler.
        """
        self.rounds, self.hidden = self.rounds + 1, self.hidden + on_sources.size
        self._on.append(on_sources)
        for name, error in errors.items():
            self._errors.setdefault(name, []).append(error)
        for name, hit in inside.items():
            self._inside.setdefault(name, []).append(hit)
        for name, flux in fluxes.items():
            self._fluxes.setdefault(name, []).append(flux)

    def figures(self) -> KindFigures:
        """The figures of all rounds together."""
        on = np.concatenate(self._on)
        inside = {name: np.concatenate(parts) for name, parts in self._inside.items()}
        fluxes = {name: np.concatenate(parts) for name, parts in self._fluxes.items()}
        fillers = {
            name: _filler(np.concatenate(parts).astype(np.float64), on, fluxes[name])
            for name, parts in self._errors.items()
        }
        enough = int(on.sum()) >= MIN_PIXELS
        return KindFigures(
            kind=self.kind,
            hidden=self.hidden,
            rounds=self.rounds,
            sources=next(iter(fluxes.values())).size,
            fillers=fillers,
            sources68=float(inside["interval68"][on].mean()) if enough else None,
            sources95=float(inside["interval95"][on].mean()) if enough else None,
            **{name: float(inside[name].mean()) for name in ("std68", "std95", "interval68", "interval95")},
        )


def _rms(error: NDArray[np.float64]) -> float | None:
    return float(np.sqrt(np.mean(error**2))) if error.size >= MIN_PIXELS else None


def _filler(error: NDArray[np.float64], on: NDArray[np.bool_], flux: NDArray[np.float64]) -> FillerFigures:
    sky = error[~on] if (~on).sum() >= MIN_PIXELS else error
    told = flux.size >= MIN_SOURCES
    low, middle, high = np.quantile(flux, (0.16, 0.5, 0.84)) if told else (0.0, 0.0, 0.0)
    return FillerFigures(
        rms=float(np.sqrt(np.mean(error**2))),
        rms_sky=_rms(error[~on]),
        rms_sources=_rms(error[on]),
        typical=float(np.quantile(np.abs(error), 0.68)),
        bias=float(sky.mean()),
        bias_error=float(sky.std() / np.sqrt(sky.size)),
        flux_bias=float(middle) if told else None,
        flux_scatter=float(high - low) / 2 if told else None,
    )
