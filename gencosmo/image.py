"""`Image`: one picture with everything known about its pixels; `as_image` makes one of what users have.

An `Image` is frozen, its arrays are read-only, and its invariants are checked once, here; code above relies
on them.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import GencosmoWarning, InputError, UsageError
from gencosmo.flags import FILL_BITS, bits
from gencosmo.given import ivar_array, opened, plain

__all__ = ["Image", "as_image", "register_reader", "require_signal"]

Reader = Callable[[str], "Image"]


@dataclass(frozen=True, eq=False)
class Image:
    """Pixels with their noise, their flags, and the little that is needed to interpret them.

    Parameters
    ----------
    data : ndarray of float32, (C, H, W)
        Values in physical units; finite everywhere (a pixel without a value holds 0 and the flag NO_DATA).
    ivar : ndarray of float32, (C, H, W), or None
        Inverse variance of each value, `>= 0`; 0 = unknown, infinity = exact. None when nothing is known.
    flags : ndarray of uint32, (C, H, W), or None
        `gencosmo.flags` bits.
    psf : ndarray of float32, (h, w) or (C, h, w), or None
        Unit-sum point spread function.
    pixel_scale : float or None
        Arc seconds (sky) or micrometres (microscopy) per pixel.
    unit : str or None
        Unit of `data`, verbatim.
    wcs : object or None
        Opaque passenger: header or WCS object; never looked into here.
    origin : (int, int)
        Row and column of `data[:, 0, 0]` in the frame it was cut from. Noise and windows are tied to it.
    gain, read_noise : float or None
        Electrons per unit, and electrons.
    background : float or ndarray or None
        Level to subtract before a prior sees the pixels; scalar or broadcastable to (C, H, W).
    planar : bool
        True when the caller's array was (H, W); `restore` gives results that shape back.
    meta : mapping
        Free information.

    Raises
    ------
    InputError
        On a wrong shape, type, or value; the message says which.
    """

    data: NDArray[np.float32]
    ivar: NDArray[np.float32] | None = None
    flags: NDArray[np.uint32] | None = None
    psf: NDArray[np.float32] | None = None
    pixel_scale: float | None = None
    unit: str | None = None
    wcs: Any = None
    origin: tuple[int, int] = (0, 0)
    gain: float | None = None
    read_noise: float | None = None
    background: float | NDArray[np.float32] | None = None
    planar: bool = False
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._check_plane("data", np.float32)
        self._check_plane("ivar", np.float32)
        self._check_plane("flags", np.uint32)
        self._check_values()
        if self.psf is not None:
            _check_psf(self.psf, self.data.shape[0])
        for name in ("pixel_scale", "gain"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value > 0):
                raise InputError(f"{name} is {value}, expected a positive number", code="bad_value")
        if self.planar and self.data.shape[0] != 1:
            raise InputError(f"a planar image has 1 channel, this one {self.data.shape[0]}", code="channels")
        self._freeze()

    def _check_plane(self, name: str, dtype: type) -> None:
        array = getattr(self, name)
        if array is None:
            return
        if not isinstance(array, np.ndarray) or array.dtype != dtype or not array.dtype.isnative:
            got = getattr(array, "dtype", type(array).__name__)
            raise InputError(
                f"Image.{name} is {got}, expected native {np.dtype(dtype)}",
                code="dtype",
                hint="use as_image()",
            )
        if array.ndim != 3:
            raise InputError(f"Image.{name} has shape {array.shape}, expected (C, H, W)", code="shape_mismatch")
        if array.size == 0:
            raise InputError(f"image has zero pixels (shape {array.shape})", code="empty_image")
        if array.shape != self.data.shape:
            raise InputError(shape_text(name, array.shape, self.data.shape), code="shape_mismatch")

    def _check_values(self) -> None:
        if not np.isfinite(self.data).all():
            count = int(np.count_nonzero(~np.isfinite(self.data)))
            raise InputError(
                f"Image.data has {count} non-finite pixels",
                code="non_finite",
                hint="use as_image(), which flags them NO_DATA",
            )
        if self.ivar is not None and not (self.ivar >= 0).all():
            count = int(np.count_nonzero(~(self.ivar >= 0)))
            raise InputError(
                f"Image.ivar has {count} negative or NaN pixels",
                code="bad_noise",
                hint="unknown noise is ivar = 0",
            )

    def _freeze(self) -> None:
        for name in ("data", "ivar", "flags", "psf", "background"):
            array = getattr(self, name)
            if isinstance(array, np.ndarray):
                view = array.view()
                view.flags.writeable = False
                object.__setattr__(self, name, view)
        object.__setattr__(self, "origin", (int(self.origin[0]), int(self.origin[1])))
        object.__setattr__(self, "meta", MappingProxyType(dict(self.meta)))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "meta": dict(self.meta)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, MappingProxyType(value) if name == "meta" else value)

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(C, H, W)`."""
        c, h, w = self.data.shape
        return c, h, w

    @property
    def mask(self) -> NDArray[np.bool_]:
        """True where a pixel is to be filled: any flag that asks for it. A new array, (C, H, W)."""
        if self.flags is None:
            return np.zeros(self.data.shape, np.bool_)
        masked: NDArray[np.bool_] = (self.flags & np.uint32(FILL_BITS)) != 0
        return masked

    def replace(self, **changes: Any) -> Image:
        """Return a copy with some fields exchanged; the invariants are checked again."""
        return replace(self, **changes)

    def restore(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return `array` (..., C, H, W) in the shape the caller's image had: without C if that was (H, W)."""
        return array[..., 0, :, :] if self.planar else array

    def __repr__(self) -> str:
        words = "x".join(map(str, self.data.shape))
        parts = [words, f"masked={int(self.mask.sum())}", f"ivar={'yes' if self.ivar is not None else 'no'}"]
        return f"Image({', '.join(parts)}, unit={self.unit!r}, origin={self.origin})"


def _check_psf(psf: NDArray[np.float32], channels: int) -> None:
    if psf.ndim not in (2, 3) or (psf.ndim == 3 and psf.shape[0] != channels) or psf.size == 0:
        raise InputError(f"psf has shape {psf.shape}, expected (h, w) or ({channels}, h, w)", code="shape_mismatch")
    total = psf.sum(axis=(-2, -1), dtype=np.float64)
    if not np.allclose(total, 1.0, atol=1e-3):
        raise InputError(f"psf sums to {total}, expected 1", code="bad_psf", hint="divide it by its sum")


def shape_text(name: str, got: tuple[int, ...], expected: tuple[int, ...]) -> str:
    """One sentence on two shapes that differ, with the usual reason when they are each other's transpose."""
    flat = len(expected) == 3 and expected[0] == 1 and set(got[:-2]) <= {1}
    words = "x".join(map(str, got[-2:] if flat else got))
    image = "x".join(map(str, expected[-2:] if flat or (expected[0] == 1 and len(got) == 2) else expected))
    swapped = tuple(got[-2:]) == tuple(expected[-2:])[::-1] and got[-2:] != expected[-2:]
    return f"{name} is {words}, image is {image}{' (transposed?)' if swapped else ''}"


_readers: list[Reader] = []


def register_reader(reader: Reader) -> None:
    """Tell `as_image` how to turn a path into an `Image`. `gencosmo.io` calls this when it is imported."""
    _readers[:] = [reader]


def as_image(image: Any, mask: Any = None, ivar: Any = None, *, reader: Reader | None = None) -> Image:
    """Make an `Image` of what users have.

    Parameters
    ----------
    image : Image, ndarray, masked array, tensor, Quantity, NDData or CCDData, path
        Arrays are (H, W) or (C, H, W), any integer or float32/float64, either byte order. NaN and infinity
        become NO_DATA. NDData brings mask, uncertainty (std, variance, inverse variance), unit and wcs along.
    mask : array-like, (H, W) or (C, H, W), or bool, optional
        True or non-zero = bad, to be filled (flag USER); in addition to what `image` says itself.
    ivar : array-like or float, optional
        Inverse variance; replaces what `image` says. Zero, negative or NaN: the value is unknown, so it is
        filled.
    reader : callable, optional
        Path to Image; default: the one `gencosmo.io` registered.

    Returns
    -------
    Image
        `planar` when the array was (H, W). The caller's arrays are never written to.

    Raises
    ------
    InputError
        Wrong type, shape, or nothing finite in the image.
    """
    if isinstance(image, (str, os.PathLike)):
        image = _read(os.fspath(image), reader)
    if isinstance(image, Image):
        return _combine(image, mask, ivar)
    image, own_mask, own_ivar, fields = opened(image)
    ivar = own_ivar if ivar is None else ivar
    array = _as_array(image)
    planar = array.ndim == 2
    data, flags = _split_values(array[np.newaxis] if planar else array)
    base = Image(data=data, flags=flags, planar=planar, **fields)
    return _combine(_combine(base, own_mask, None), mask, ivar)


def require_signal(image: Image, *, max_fill: float = 0.6) -> None:
    """Raise when there is too little to work from.

    Raises
    ------
    UsageError
        `max_fill` is no share.
    InputError
        `too_small` (a side below 8 pixels), `nothing_observed` (more than `max_fill` masked), `no_signal`
        (all observed pixels have one value).
    """
    if not 0 <= max_fill <= 1:
        raise UsageError(f"max_fill is {max_fill}, expected a share from 0 to 1", code="usage")
    channels, height, width = image.shape
    if min(height, width) < 8:
        raise InputError(f"image is {height}x{width} pixels, the smallest is 8x8", code="too_small")
    mask = image.mask
    for channel in range(channels):
        share = float(mask[channel].mean())
        where = f" of channel {channel}" if channels > 1 else ""
        if share > max_fill:
            raise InputError(
                f"{100 * share:.1f} % of pixels{where} masked, limit {100 * max_fill:g} %: "
                "an inpainting from so little data would be the prior alone",
                code="nothing_observed",
                hint="True or non-zero means bad; where that is right, raise max_fill (--max-fill)",
            )
        seen = image.data[channel][~mask[channel]]
        if seen.size and seen.min() == seen.max():
            raise InputError(f"all {seen.size} observed pixels{where} have the value {seen[0]:g}", code="no_signal")


def _read(path: str, reader: Reader | None) -> Image:
    if reader is None:
        if not _readers:
            raise UsageError(
                f"no reader for the path {path!r}",
                code="no_reader",
                hint="import gencosmo.io, or pass reader=",
            )
        reader = _readers[0]
    return reader(path)


def _as_array(image: Any) -> NDArray[Any]:
    array = plain("image", image)
    if array.dtype.kind not in "iuf" or array.dtype.itemsize < (4 if array.dtype.kind == "f" else 1):
        kind = array.dtype if isinstance(image, np.ndarray) else type(image).__name__
        raise InputError(
            f"{kind} images are not supported",
            code="dtype",
            hint="give an array of integers, float32 or float64, or the path of a file",
        )
    if array.ndim not in (2, 3):
        raise InputError(f"image has shape {array.shape}, expected (H, W) or (C, H, W)", code="shape_mismatch")
    if array.size == 0:
        raise InputError(f"image has zero pixels (shape {array.shape})", code="empty_image")
    if array.ndim == 3 and array.shape[2] <= 4 < array.shape[0]:
        raise InputError(
            f"image has shape {array.shape}; channels come first",
            code="axes",
            hint="use np.moveaxis(image, -1, 0)",
        )
    return array


def _split_values(array: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.uint32] | None]:
    with np.errstate(over="ignore"):
        # A copy, always: freezing or later changes by the caller must not reach through.
        data = np.array(array, dtype=np.float32, order="C")
    least = float(np.finfo(np.float32).tiny)
    if array.dtype.kind == "f" and np.fmax.reduce(np.abs(data), axis=None) < least and array.any():
        raise InputError(
            f"no pixel is as large as {least:.1e}, the range of float32",
            code="no_signal",
            hint="give the image in other units",
        )
    bad = ~np.isfinite(data)
    if not bad.any():
        return data, None
    infinite = int(np.count_nonzero(np.isinf(array)))
    beyond = int(np.count_nonzero(np.isinf(data))) - infinite
    if bad.all():
        text = "no pixel is within 3.4e38, the range of float32" if beyond else "image has no finite pixel"
        raise InputError(text, code="no_signal", hint="give the image in other units" if beyond else "")
    if infinite:
        warnings.warn(GencosmoWarning(f"{infinite} infinite pixels treated as masked", code="non_finite"), stacklevel=4)
    if beyond:
        text = f"{beyond} pixels beyond 3.4e38, the range of float32, treated as masked"
        warnings.warn(GencosmoWarning(text, code="non_finite"), stacklevel=4)
    data[bad] = 0
    return data, np.where(bad, np.uint32(bits("NO_DATA")), np.uint32(0))


def _spread(name: str, array: NDArray[Any], shape: tuple[int, int, int]) -> NDArray[Any]:
    """Give a number to every pixel and an (H, W) plane to every channel; refuse any other difference in shape."""
    if array.shape == shape:
        return array
    if array.ndim == 0 or (array.ndim == 2 and array.shape == shape[1:]):
        return np.broadcast_to(array, shape)
    raise InputError(shape_text(name, array.shape, shape), code="shape_mismatch")


def _combine(image: Image, mask: Any, ivar: Any) -> Image:
    if mask is None and ivar is None:
        return image
    flags = np.zeros(image.shape, np.uint32) if image.flags is None else image.flags.copy()
    changes: dict[str, Any] = {"flags": flags}
    if mask is not None:
        masked = plain("mask", mask)
        if masked.dtype.kind not in "biuf":
            raise InputError(f"mask is {masked.dtype}, expected an array of bool or numbers", code="dtype")
        flags[_spread("mask", masked != 0, image.shape)] |= np.uint32(bits("USER"))
    if ivar is not None:
        noise = _spread("ivar", ivar_array(ivar, image.unit), image.shape)
        unknown = ~(noise > 0)
        if unknown.all():
            raise InputError("ivar is nowhere positive", code="bad_noise", hint="leave ivar out if noise is unknown")
        flags[unknown] |= np.uint32(bits("NO_NOISE", "BAD"))
        changes["ivar"] = np.where(unknown, np.float32(0), noise)
    return image.replace(**changes)
