"""Cards: what a shipped prior is, what it was trained on, and what it is good for.

A prior is three files of one name: ``NAME.json`` (the card), ``NAME.safetensors`` (weights), and
``NAME.calibration.json`` (measured on validation tiles, see :mod:`gencosmo.training.calibrate`). The card knows the
hash of the weights, the calibration knows the hash of the card's weights, and a pair that does not belong together is
refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gencosmo.errors import PriorError

SHIPPED = Path(__file__).parent / "cards"


@dataclass(frozen=True)
class Card:
    """Facts about one prior.

    Attributes
    ----------
    name, description, licence : str
    weights_sha256 : str
        Of the safetensors file.
    shape : mapping
        Architecture, see :class:`gencosmo.priors.network.NetworkShape`.
    core, halo, ramp : int
        Windows, see :class:`gencosmo.windows.WindowGrid`.
    prior_var : float
        Variance of the prior, in squared network flux.
    sigma_max : float
        Highest finite level the sampler may start at, in network flux.
    correlation_length : float
        Pixels over which unknown pixels hang together; sets the level at which the sampler starts.
    pixel_scale : tuple of float
        Range of the training frames, arcsec (sky) or micrometres (microscopy) per pixel.
    largest_hole : int
        Side of the largest hole seen in training, in pixels.
    training : mapping
        Groups, licences, tiles, minutes, machine.
    test_vector : mapping
        Seed, size and expected statistics of a simulated tile; checked by ``gencosmo doctor``.
    domain : mapping
        What the training frames look like: name of a statistic to its lowest and highest accepted value, see
        :mod:`gencosmo.priors.looks`. Empty = not known, nothing is compared.
    surface : str
        What lies over the holes as the second base, see :data:`gencosmo.priors.bases.SURFACES`.
    validation : mapping
        How well it fills frames it has not seen: what they were, and one row for each kind of hole
        (``gencosmo info NAME`` shows it).
    """

    name: str
    description: str
    licence: str
    weights_sha256: str
    shape: Mapping[str, Any]
    core: int
    halo: int
    ramp: int
    prior_var: float
    sigma_max: float
    correlation_length: float
    pixel_scale: tuple[float, float]
    largest_hole: int
    training: Mapping[str, Any] = field(default_factory=dict)
    test_vector: Mapping[str, Any] = field(default_factory=dict)
    domain: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    surface: str = "biharmonic"
    validation: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Card:
        """Read a card.

        Raises
        ------
        PriorError
            When a field is missing or unknown.
        """
        values = json.loads(path.read_text())
        try:
            return cls(**{**values, "pixel_scale": tuple(values.get("pixel_scale", ()))})
        except TypeError as error:
            raise PriorError(f"{path.name} is not a card of this version: {error}", code="bad_card") from error

    def write(self, path: Path) -> None:
        """Write the card as indented JSON."""
        values = {key: getattr(self, key) for key in self.__dataclass_fields__}
        path.write_text(json.dumps(values, indent=2) + "\n")


@dataclass(frozen=True)
class Calibration:
    """Measured corrections of the predicted variance, per world.

    Attributes
    ----------
    weights_sha256 : str
        The weights they were measured with.
    level_edges : tuple of float
        Edges between bins of ``log(sigma / d)``; the last bin holds unknown pixels.
    scale_edges : tuple of float
        Edges between bins of ``log s``.
    factors : mapping
        World to a table (levels, scales) by which the variance is multiplied.
    quantiles : mapping
        World to ``{"68": k, "95": k}``: half-widths of the central intervals in units of the standard deviation.
    measured_on : str
    shifts : mapping
        World to a table like that of `factors`: what is added to the mean, in corrected standard deviations. Nothing is
        where a world has none.
    """

    weights_sha256: str
    level_edges: tuple[float, ...]
    scale_edges: tuple[float, ...]
    factors: Mapping[str, list[list[float]]]
    quantiles: Mapping[str, Mapping[str, float]]
    measured_on: str = ""
    shifts: Mapping[str, list[list[float]]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Calibration:
        """Read a calibration file."""
        values = json.loads(path.read_text())
        values |= {key: tuple(values[key]) for key in ("level_edges", "scale_edges")}
        return cls(**values)

    def write(self, path: Path) -> None:
        """Write as indented JSON."""
        values = {key: getattr(self, key) for key in self.__dataclass_fields__}
        path.write_text(json.dumps(values, indent=1) + "\n")


def file_sha256(path: Path) -> str:
    """Hex digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def shipped_names() -> list[str]:
    """Names of the priors in the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.json") if not path.stem.endswith(".calibration"))


def card_path(name: str | Path) -> Path:
    """Path of a card from a shipped name or from a path to a card.

    Raises
    ------
    PriorError
        When there is none.
    """
    path = Path(name) if str(name).endswith(".json") else SHIPPED / f"{name}.json"
    if not path.is_file():
        raise PriorError(
            f"no prior {str(name)!r}; shipped: {', '.join(shipped_names()) or 'none'}",
            code="model_not_found",
            hint="give one of these names or the path of a card (.json)",
        )
    return path


def check_weights(card: Card, weights: Path) -> None:
    """Refuse weights that are missing, of another kind, or not the card's.

    Raises
    ------
    PriorError
    """
    if not weights.is_file():
        raise PriorError(f"{weights.name} is missing beside its card", code="model_not_found", hint="reinstall")
    found = file_sha256(weights)
    if found != card.weights_sha256:
        raise PriorError(
            f"{weights.name} has sha256 {found[:12]}..., its card says {card.weights_sha256[:12]}...",
            code="model_hash",
            hint="the file is damaged or belongs to another card; install it again",
        )


def check_calibration(card: Card, calibration: Calibration) -> None:
    """Refuse a calibration that was measured with other weights.

    Raises
    ------
    PriorError
    """
    if calibration.weights_sha256 != card.weights_sha256:
        raise PriorError(
            f"the calibration of {card.name} was measured with weights {calibration.weights_sha256[:12]}..., "
            f"the card has {card.weights_sha256[:12]}...",
            code="model_hash",
            hint="run `make calibrate`",
        )
