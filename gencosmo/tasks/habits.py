"""What scikit-learn and users ask of a detector: parameters, clones, pipelines, and calls that mean something."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gencosmo.anomaly.density import scikit
from gencosmo.anomaly.staged import STAGED
from gencosmo.anomaly.views import KNOWN, VIEWS
from gencosmo.errors import UsageError
from gencosmo.given import SEED_MAX, whole
from gencosmo.image import Image
from gencosmo.result import TARGETS

__all__ = ["Habits", "check_parameters", "listed", "rows_of"]

Array = NDArray[np.float64]
MOST_FOLDS = 4096


class Habits:
    """Parameters as scikit-learn wants them; it is imported only when it asks.

    Attributes
    ----------
    given : mapping of str to object
        Everything the constructor was called with.
    """

    given: dict[str, Any]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Everything the constructor was called with; `deep` changes nothing."""
        return dict(self.given)

    def set_params(self, **parameters: Any) -> Self:
        """Change parameters; what was fitted is forgotten.

        Raises
        ------
        UsageError
            A name or a value that the constructor refuses.
        """
        unknown = sorted(set(parameters) - set(self.given))
        if unknown:
            raise UsageError(f"no parameter {', '.join(unknown)}; there are {', '.join(self.given)}")
        if parameters:
            vars(self).update(vars(type(self)(**{**self.given, **parameters})))
        return self

    def __sklearn_clone__(self) -> Self:
        """The same, not fitted; a loaded prior is shared, and not copied."""
        return type(self)(**self.given)

    def __sklearn_tags__(self) -> Any:
        """Tell what kind of estimator this is."""
        words = scikit("utils")
        inputs = words.InputTags(two_d_array=False, three_d_array=True, allow_nan=True)
        return words.Tags(
            estimator_type="outlier_detector", target_tags=words.TargetTags(required=False), input_tags=inputs
        )

    def __repr__(self) -> str:
        words = ", ".join(f"{name}={value!r}" for name, value in self.given.items() if name != "prior")
        prior = self.given.get("prior")
        return f"{type(self).__name__}({prior if isinstance(prior, str) else type(prior).__name__!s}, {words})"


def check_parameters(given: dict[str, Any]) -> None:
    """Refuse parameters that cannot mean anything.

    Raises
    ------
    UsageError
    """
    whole("tile", given["tile"], 8, 1024)
    whole("folds", given["folds"], 2, MOST_FOLDS)
    whole("seed", given["seed"], 0, SEED_MAX)
    if given["target"] not in TARGETS:
        raise UsageError(f"target is {given['target']!r}, expected one of {', '.join(TARGETS)}", code="target")
    alpha = given["alpha"]
    if not isinstance(alpha, int | float | np.number) or not 0 < alpha < 1:
        raise UsageError(f"alpha is {alpha!r}, expected a number between 0 and 1")
    _check_names("views", given["views"], VIEWS)
    if given["known"] is not None and (len(given["known"]) or KNOWN in given["views"]):
        _check_names("known", given["known"], tuple(STAGED))
    levels = tuple(given["levels"])
    if not levels or not all(isinstance(x, int | float | np.number) and 0 < x < math.inf for x in levels):
        raise UsageError(f"levels are {levels}, expected some positive numbers")


def _check_names(name: str, value: Any, expected: tuple[str, ...]) -> None:
    if isinstance(value, str):
        raise UsageError(f"{name} is {value!r}, expected several: ({value!r},)")
    if not value or set(value) - set(expected):
        raise UsageError(f"{name} is {list(value)}, expected some of {', '.join(expected)}")


def listed(images: Iterable[Any]) -> list[Any]:
    """Images of a call, one by one.

    Raises
    ------
    UsageError
        No images, or a single one where several are meant.
    """
    single = isinstance(images, str | os.PathLike | Image) or not hasattr(images, "__iter__")
    shape = getattr(images, "shape", None)
    numbers = getattr(getattr(images, "dtype", None), "kind", "O") not in "OUS"
    if single or (shape is not None and len(shape) < 3 and numbers):
        what = f"one array of shape {tuple(shape)}" if shape is not None else f"one {type(images).__name__}"
        text = f"images is {what}, expected several: a list of arrays, paths or Images, or one array (n, H, W)"
        raise UsageError(text, hint="of a single image: [image]")
    found = list(images)
    if not found:
        raise UsageError("no images were given", code="usage")
    return found


def rows_of(nuisances: Any, count: int, expected: int | None) -> Array:
    """Nuisances of so many images (count, q).

    Parameters
    ----------
    nuisances : array-like (count, q) or (count,), or None
    count : int
    expected : int or None
        How many a fitted detector knows; None while it is fitted.

    Raises
    ------
    UsageError
        Another shape, values that are not finite, or another number than the detector was fitted with.
    """
    try:
        given = np.zeros((count, 0)) if nuisances is None else np.asarray(nuisances, np.float64)
    except (TypeError, ValueError):
        raise UsageError(f"nuisances are no numbers, expected {count} finite rows") from None
    given = given[:, None] if given.ndim == 1 else given
    if given.ndim != 2 or given.shape[0] != count or not np.isfinite(given).all():
        raise UsageError(f"nuisances have shape {given.shape}, expected {count} finite rows")
    if expected is not None and given.shape[1] != expected:
        text = f"{given.shape[1]} nuisances of each image, the detector was fitted with {expected}"
        raise UsageError(text, hint="give nuisances= as to fit()")
    return given
