"""Noise planes of all kinds to `ivar`, and a posterior standard deviation back to a plane's own kind."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import GencosmoWarning, InputError
from gencosmo.flags import bits
from gencosmo.image import shape_text
from gencosmo.io.layout import Layout
from gencosmo.io.pixels import Pixels, Section, load_beside
from gencosmo.ops.ingest import ingest
from gencosmo.scaling import difference_noise

__all__ = ["EXACT_ERROR", "check_range", "measured_noise", "read_noise", "restore_exact", "to_kind", "variance_shares"]

EXACT_ERROR = float(np.float32(1e-19))
"""What ERR of an exact value holds: so small that no pixel is so good, so large that its inverse square is finite."""

_TINY = 1e-3
"""Lossy compression turns zero weights into tiny ones; below this share of the median they are zeros."""


def read_noise(
    layout: Layout, science: NDArray[Any], pixels: Pixels, section: Section | None = None
) -> tuple[NDArray[Any] | None, NDArray[np.uint32] | None, str]:
    """Read the noise plane of a layout.

    Returns
    -------
    noise : ndarray or None
        (C, H, W), an inverse variance; as it is stored when `source` is `std` or `variance`. None when the plane
        turns out to hold no noise.
    marks : ndarray of uint32 or None
        Flags, when the plane is a mask in disguise.
    source : str
        Where the noise came from: the kind of the plane, `weight, rescaled`, or `none`.
    """
    assert layout.noise is not None
    plane = load_beside(layout, layout.noise, "noise plane", section)
    kind = layout.noise_kind
    simple = not plane.is_integer and (plane.bscale, plane.bzero) == (1.0, 0.0)
    if simple and kind in ("std", "variance") and bool((plane.stored > 0).any()):
        return _fit(plane.planes(), science.shape), None, kind
    values = ingest(plane.planes(), bscale=plane.bscale, bzero=plane.bzero, blank=plane.blank)[0]
    values = _fit(values, science.shape)
    if kind in ("ivar", "weight"):
        if _only_zero_one(values) and (kind == "weight" or not _unit_noise(values, science, pixels)):
            _warn("weight_is_mask", "the weight map holds only 0 and 1: used as a mask, the noise is unknown")
            return None, np.where(values == 0, np.uint32(bits("BAD")), np.uint32(0)), "none"
        lossy = layout.noise.hdu.kind == "compressed" and layout.noise.hdu.bitpix < 0
        if kind == "weight" or lossy:
            positive = values[values > 0]
            if positive.size:
                values = np.where(values < _TINY * np.median(positive), np.float32(0), values)
    ivar = _to_ivar(values, kind)
    check_range(values, kind, ivar)
    if not (ivar > 0).any():
        _warn("no_noise", f"the {kind} plane is nowhere positive: not used")
        return None, None, "none"
    if kind == "weight":
        return _rescale(ivar, science, pixels), None, "weight, rescaled"
    return ivar, None, "ivar" if kind == "ivar" else f"{kind}, as ivar"


def restore_exact(
    layout: Layout, noise: NDArray[Any], ivar: NDArray[np.float32] | None, flags: NDArray[np.uint32]
) -> None:
    """Make `ivar` infinite where a file of gencosmo's own says that a value is exact.

    An ERR plane cannot hold the error 0, which means unknown; `EXACT_ERROR` stands for it, as the card GCMEXACT says.
    """
    assert layout.noise is not None
    told = layout.noise.hdu.cards.get("GCMEXACT")
    if ivar is not None and layout.noise_kind == "std" and isinstance(told, float):
        exact = (noise == np.float32(told)) & (ivar > 0)
        ivar[exact] = np.inf
        flags[exact] &= ~np.uint32(bits("NO_NOISE"))


def check_range(noise: NDArray[Any], kind: str, ivar: NDArray[np.float32] | None) -> None:
    """Refuse a noise plane of which no inverse variance fits into float32: it would look like a file of bad pixels.

    Raises
    ------
    InputError
        `bad_noise`.
    """
    if kind not in ("std", "variance") or ivar is None or (ivar > 0).any():
        return
    known = noise[np.isfinite(noise) & (noise > 0)]
    if known.size and not (_to_ivar(known, kind) > 0).any():
        raise InputError(
            f"the {kind} plane holds {np.median(known):.3g}: one over the variance is not in the range of float32 "
            "(1e-45 to 3.4e38)",
            code="bad_noise",
            hint="give image and noise in another unit, as 1e-20 erg/s/cm2/Angstrom or counts",
        )


def _to_ivar(values: NDArray[np.float32], kind: str) -> NDArray[np.float32]:
    """Inverse variance; 0 wherever the value is not positive or the inverse does not fit."""
    if kind in ("ivar", "weight"):
        return np.where(values > 0, values, np.float32(0))
    good = values > 0
    wide = np.where(good, values, 1.0).astype(np.float64)
    with np.errstate(over="ignore", under="ignore"):
        inverse = (1.0 / (wide * wide if kind == "std" else wide)).astype(np.float32)
    return np.where(good & np.isfinite(inverse), inverse, np.float32(0))


def to_kind(std: NDArray[np.float64], kind: str) -> NDArray[np.float64]:
    """Return posterior standard deviations as values of a noise plane of this kind; std 0 stays 0."""
    if kind == "std":
        return std
    variance = std * std
    if kind == "variance":
        return variance
    return np.divide(1.0, variance, out=np.zeros_like(variance), where=variance > 0)


def variance_shares(parts: Sequence[Pixels], where: NDArray[np.bool_]) -> list[float]:
    """Return the share of each variance by cause in their sum: the medians over pixels outside `where`.

    A filled pixel's variance is split in these shares, so that the parts still add up to the whole.
    """
    sizes = []
    for part in parts:
        values = ingest(part.planes(), bscale=part.bscale, bzero=part.bzero, blank=part.blank)[0]
        seen = values[~where & (values > 0)]
        sizes.append(float(np.median(seen)) if seen.size else 0.0)
    total = sum(sizes)
    return [size / total for size in sizes] if total > 0 else [1.0] + [0.0] * (len(sizes) - 1)


def measured_noise(data: NDArray[np.float32], good: NDArray[np.bool_]) -> float:
    """Return the pixel noise measured from differences of neighbours, the median over channels; 0 = not
    measurable.
    """
    found = [difference_noise(plane, seen) for plane, seen in zip(data, good, strict=True)]
    return float(np.median(found))


def _rescale(weight: NDArray[np.float32], science: NDArray[Any], pixels: Pixels) -> NDArray[np.float32]:
    """A relative weight is made an inverse variance by the noise that is measured in the image itself."""
    data, _, flags = ingest(science, bscale=pixels.bscale, bzero=pixels.bzero, blank=pixels.blank)
    good = (flags == 0) & (weight > 0)
    # Noise times the square root of the weight is the same everywhere if the weights are right.
    flat = measured_noise(data * np.sqrt(weight), good)
    if flat <= 0:
        raise InputError(
            "the noise of the image cannot be measured to scale --weight",
            code="bad_noise",
            hint="give --weight-type ivar, variance or rms, or --ivar",
        )
    return (weight / np.float32(flat * flat)).astype(np.float32)


def _unit_noise(ivar: NDArray[np.float32], science: NDArray[Any], pixels: Pixels) -> bool:
    """Say whether the image really has the noise 1 that an inverse variance of ones claims."""
    data, _, flags = ingest(science, bscale=pixels.bscale, bzero=pixels.bzero, blank=pixels.blank)
    return 0.3 < measured_noise(data, (flags == 0) & (ivar > 0)) < 3.0


def _only_zero_one(values: NDArray[np.float32]) -> bool:
    return bool(((values == 0) | (values == 1)).all())


def _fit(values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    if values.shape == shape:
        return values
    if values.shape[0] == 1 and values.shape[1:] == shape[1:]:
        return np.repeat(values, shape[0], axis=0)
    raise InputError(shape_text("noise plane", values.shape, shape), code="shape_mismatch")


def _warn(code: str, text: str) -> None:
    warnings.warn(GencosmoWarning(text, code=code), stacklevel=5)
