"""What callers hand over, as plain NumPy arrays and numbers.

Tensors, quantities and NDData are known by their attributes, so that this floor needs neither torch nor astropy.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import InputError, UsageError

__all__ = ["SEED_MAX", "draws", "ivar_array", "opened", "plain", "whole"]

SEED_MAX = (1 << 64) - 1
MOST_DRAWS = 4096
"""Samples, and steps of each."""


def whole(name: str, value: Any, low: int, high: int) -> int:
    """A whole number of any type (NumPy's too) in a range.

    Raises
    ------
    UsageError
        Another type, a bool, or a number outside.
    """
    try:
        number = None if isinstance(value, (bool, np.bool_)) else operator.index(value)
    except TypeError:
        number = None
    if number is None or not low <= number <= high:
        most = "2^64 - 1" if high == SEED_MAX else high
        raise UsageError(f"{name} is {value!r}, expected a whole number from {low} to {most}", code="usage")
    return number


def draws(samples: Any, steps: Any, seed: Any) -> tuple[int, int | None, int]:
    """Samples, steps (None: as many as the task takes) and seed as Python's whole numbers.

    Raises
    ------
    UsageError
        One that is no whole number, or out of range.
    """
    steps = None if steps is None else whole("steps", steps, 2, MOST_DRAWS)
    return whole("samples", samples, 0, MOST_DRAWS), steps, whole("seed", seed, 0, SEED_MAX)


def plain(name: str, value: Any) -> NDArray[Any]:
    """An array, a tensor (of any device, with or without gradient), a list or a number as an ndarray.

    Raises
    ------
    InputError
        `dtype` when it is none of these.
    """
    try:
        if hasattr(value, "detach") and hasattr(value, "cpu"):
            value = value.detach().cpu().numpy()
        return np.asarray(value)
    except (TypeError, ValueError) as error:
        kind = getattr(value, "dtype", type(value).__name__)
        raise InputError(f"{name} is {kind}, expected an array of numbers: {error}", code="dtype") from None


def opened(image: Any) -> tuple[Any, Any, Any, dict[str, Any]]:
    """Values, mask, inverse variance (None where not told) and `Image` fields of an image of any known class."""
    if hasattr(image, "uncertainty") and hasattr(image, "data") and hasattr(image, "meta"):
        return _nddata(image)
    mask = None
    if isinstance(image, np.ma.MaskedArray):
        image, mask = image.data, np.ma.getmaskarray(image)
    elif hasattr(image, "unmasked") and hasattr(image, "mask"):
        image, mask = image.unmasked, image.mask
    fields = {}
    if _has_unit(image):
        fields["unit"], image = str(image.unit), image.value
    return image, mask, None, fields


def ivar_array(ivar: Any, unit: str | None) -> NDArray[np.float32]:
    """Inverse variance in the image's unit.

    Raises
    ------
    InputError
        `dtype`; `bad_noise`: a unit that does not belong to the image's, or values beyond float32, which would count as
        exact.
    """
    if _has_unit(ivar):
        try:
            with np.errstate(divide="ignore", invalid="ignore"):
                ivar = ivar.value if unit is None else (ivar**-0.5).to_value(unit) ** -2.0
        except (TypeError, ValueError):
            raise InputError(
                f"ivar is in {ivar.unit}, image is in {unit}", code="bad_noise", hint="ivar is one over the variance"
            ) from None
    values = plain("ivar", ivar)
    if values.dtype.kind not in "biuf":
        raise InputError(f"ivar is {values.dtype}, expected numbers", code="dtype")
    with np.errstate(over="ignore"):
        noise = values.astype(np.float32)
    beyond = np.isposinf(noise) & ~np.isinf(values)
    if beyond.any():
        raise InputError(
            f"{int(beyond.sum())} values of ivar are beyond 3.4e38, the range of float32: {values[beyond].flat[0]:.3g}",
            code="bad_noise",
            hint="give image and ivar in another unit, as image times 1e20 and ivar times 1e-40; exact pixels have inf",
        )
    return noise


def _has_unit(value: Any) -> bool:
    return hasattr(value, "to_value") and getattr(value, "unit", None) is not None


def _nddata(image: Any) -> tuple[Any, Any, Any, dict[str, Any]]:
    fields: dict[str, Any] = {"wcs": image.wcs, "meta": {"header": image.meta}}
    if image.unit is not None:
        fields["unit"] = str(image.unit)
    noise = None if image.uncertainty is None else _from_uncertainty(image.uncertainty, image.unit)
    return image.data, image.mask, noise, fields


def _from_uncertainty(uncertainty: Any, unit: Any) -> NDArray[np.float64]:
    """Inverse variance in the image's unit from an uncertainty that may have a unit of its own."""
    kind = uncertainty.uncertainty_type
    power = {"std": 1, "var": 2, "ivar": -2}.get(kind)
    if power is None:
        raise InputError(f"uncertainty of type {kind!r}; expected std, var or ivar", code="bad_noise")
    noise = np.asarray(uncertainty.array, dtype=np.float64)
    if uncertainty.unit is not None and unit is not None:
        try:
            noise = noise * uncertainty.unit.to(unit**power)
        except (TypeError, ValueError):
            text = f"uncertainty ({kind}) is in {uncertainty.unit}, image is in {unit}"
            raise InputError(text, code="bad_noise") from None
    if kind == "ivar":
        return noise
    positive = np.where(noise > 0, noise, np.nan)
    return positive**-2.0 if kind == "std" else 1 / positive
