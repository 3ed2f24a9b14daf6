"""Stored values of a plane to an `Image`: masks, saturation, NaN and noise become flags and `ivar`."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import GencosmoWarning, InputError, UsageError
from gencosmo.finders import find_defects
from gencosmo.flags import FILL_BITS, bits, count
from gencosmo.image import Image
from gencosmo.io.axes import Axes, Plane, Section
from gencosmo.io.fits import ReadOptions
from gencosmo.io.stack import Stack, split_name
from gencosmo.io.stack_chosen import chosen_planes
from gencosmo.io.stack_noise import CameraNoise, Surfaces
from gencosmo.io.stack_open import open_stack
from gencosmo.io.stack_options import StackRead
from gencosmo.photon import check_order

__all__ = ["Companion", "StackReader", "grown_flags"]

NOISE = {"ivar": "ivar", "variance": "variance", "var": "variance", "rms": "std", "std": "std"}


class Companion:
    """A mask or a noise image of a stack: the same rows and columns; other axes of the same size or of one."""

    def __init__(self, word: str, name: str, main: Stack, axes: str | None) -> None:
        self.word = word
        path, inner = split_name(name)
        mask = word == "mask"
        try:
            self.stack = open_stack(path, image=inner, limit=main.limit, mask=mask)
        except InputError as error:
            if error.code != "axes":
                raise
            self.stack = open_stack(path, axes=axes or main.axes.letters, image=inner, limit=main.limit, mask=mask)
        if self.stack.axes.samples > 1 and _same_array(self.stack.axes.shape, main.axes):
            # tifffile writes an array (3, H, W) of bytes as red, green and blue, whatever it was
            self.stack.close()
            letters = "".join(a for a in main.axes.letters if main.axes.size(a) > 1 or a in "YX")
            self.stack = open_stack(path, axes=letters, image=inner, limit=main.limit, mask=mask)
        mine, its = self.stack.axes, main.axes
        if mine.samples > 1 and its.samples != mine.samples:
            self.stack.close()
            raise InputError(
                f"{word} {path} is RGB, the image has {its.samples} sample per pixel",
                code="channels",
                hint="give one value per pixel",
            )
        same = all(a in (1, b) for a, b in zip(mine.inside[:3], its.inside[:3], strict=True))
        if not same or mine.inside[3:] != its.inside[3:]:
            self.stack.close()
            turned = mine.inside[3:] == its.inside[:2:-1] and mine.inside[3] != mine.inside[4]
            sizes, expected = ("x".join(map(str, axes.inside)) for axes in (mine, its))
            raise InputError(
                f"{word} is TCZYX {sizes}, image is {expected}{' (transposed?)' if turned else ''}",
                code="shape_mismatch",
            )

    def read(self, plane: Plane, section: Section) -> NDArray[Any]:
        """Return its values for a plane of the image."""
        sizes = self.stack.axes.inside
        own = Plane(*(n if size > 1 else 0 for n, size in zip(plane, sizes[:3], strict=True)))
        return self.stack.read(own, section)


def _same_array(shape: tuple[int, ...], axes: Axes) -> bool:
    """Whether an array has the image's axes without those of one pixel, and the image no samples."""
    return axes.samples == 1 and shape == tuple(n for a, n in zip(axes.letters, axes.shape, strict=True) if n > 1)


class StackReader:
    """Makes an `Image` of any part of a plane of a stack, with what the user said about it."""

    def __init__(self, stack: Stack, options: ReadOptions) -> None:
        self.stack, self.options = stack, options
        asked = options if isinstance(options, StackRead) else StackRead()
        self.saturation = asked.saturation
        _check_options(options)
        self.planes = chosen_planes(stack, asked)
        stack.require(self.planes)
        for code, text in stack.details.doubts:
            warnings.warn(GencosmoWarning(text, code=code), stacklevel=3)
        self.mask: Companion | None = None
        self.noise: Companion | None = None
        self.noise_kind = "ivar" if options.ivar else NOISE.get(options.weight_type, "")
        self.camera: CameraNoise | None = None
        self.surfaces: Surfaces | None = None
        try:
            if options.mask:
                self.mask = Companion("mask", options.mask, stack, asked.axes)
            if options.ivar or options.weight:
                self.noise = Companion("noise", options.ivar or options.weight or "", stack, asked.axes)
            if options.camera is not None:
                self.camera = CameraNoise(stack, options.camera, self.planes, self._good)
            if asked.illumination is not None:
                check_order(asked.illumination)
                self.surfaces = Surfaces(stack, asked.illumination, self._good)
        except BaseException:
            self.close()
            raise

    @property
    def companions(self) -> list[Companion]:
        """Masks and noise images."""
        return [one for one in (self.mask, self.noise) if one is not None]

    def close(self) -> None:
        """Close all that was opened besides the stack."""
        for one in self.companions:
            one.stack.close()

    def flags(self, raw: NDArray[Any], plane: Plane, section: Section) -> NDArray[np.uint32]:
        """Return flags (H, W) of stored values: not finite, masked by the user, saturated."""
        flags = np.zeros(raw.shape, np.uint32)
        if raw.dtype.kind == "f":
            flags[~np.isfinite(raw)] = bits("NO_DATA")
        if self.mask is not None:
            flags[self.mask.read(plane, section) != 0] |= np.uint32(bits("USER"))
        if self.saturation is not None:
            flags[raw >= self.saturation] |= np.uint32(bits("SATURATED"))
        return flags

    def _good(self, raw: NDArray[Any], plane: Plane, section: Section) -> NDArray[np.bool_]:
        good: NDArray[np.bool_] = self.flags(raw, plane, section) == 0
        return good

    def image(self, plane: Plane, section: Section, *, finders: bool = True) -> Image:
        """Return rows and columns of one plane as an `Image` with one channel; `origin` is where they begin.

        Raises
        ------
        InputError
            `no_signal` when no pixel is finite.
        """
        raw = self.stack.read(plane, section)
        flags = self.flags(raw, plane, section)
        with np.errstate(over="ignore"):
            data = np.where(flags & np.uint32(bits("NO_DATA")), 0, raw).astype(np.float32)
        beyond = ~np.isfinite(data)
        data[beyond], flags[beyond] = 0, flags[beyond] | np.uint32(bits("NO_DATA"))
        infinite = int(np.count_nonzero(np.isinf(raw))) if raw.dtype.kind == "f" else 0
        if infinite:
            text = f"{infinite} infinite pixels treated as masked"
            warnings.warn(GencosmoWarning(text, code="non_finite"), stacklevel=3)
        if beyond.any():
            text = f"{int(beyond.sum())} pixels beyond 3.4e38, the range of float32, treated as masked"
            warnings.warn(GencosmoWarning(text, code="non_finite"), stacklevel=3)
        details = self.stack.details
        ivar = None if self.noise is None else self._ivar(plane, section, flags)
        image = Image(
            data=data[None],
            ivar=ivar,
            flags=flags[None],
            pixel_scale=details.x or details.y,
            origin=(section[0].start, section[1].start),
            planar=True,
            meta=self._meta(plane),
        )
        if finders and self.options.find:
            image = self._find(image, raw)
        if self.options.grow:
            assert image.flags is not None
            image = image.replace(flags=grown_flags(image.flags, self.options.grow))
        if self.surfaces is not None:
            image = self.surfaces.apply(image, plane, section)
        if self.camera is not None:
            image = self.camera.apply(image, plane.c)
        assert image.flags is not None
        return image.replace(meta=dict(image.meta) | {"counts": count(image.flags)})

    def _meta(self, plane: Plane) -> dict[str, Any]:
        return {
            "path": self.stack.path,
            "hdu": str(plane).replace(" ", ""),
            "profile": self.stack.kind,
            "rows": "down",
            "planes": {},
            "noise_source": "none" if self.noise is None else self.noise_kind,
            "notes": tuple(text for _, text in self.stack.details.doubts),
            "doubts": (),
        }

    def _ivar(self, plane: Plane, section: Section, flags: NDArray[np.uint32]) -> NDArray[np.float32]:
        assert self.noise is not None
        told = self.noise.read(plane, section).astype(np.float64)
        good = np.isfinite(told) & (told > 0)
        power = {"ivar": 1, "variance": -1, "std": -2}[self.noise_kind]
        flags[~good] |= np.uint32(bits("NO_NOISE", "BAD"))
        return np.where(good, np.power(told, power, out=np.zeros_like(told), where=good), 0).astype(np.float32)[None]

    def _find(self, image: Image, raw: NDArray[Any]) -> Image:
        """Run the finders; where the file tells the camera's bits, no full pixel is no reason for a word."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = find_defects(image, self.options.find, saturation=self._full(raw))
        for entry in caught:
            told = isinstance(entry.message, GencosmoWarning) and entry.message.code == "saturation"
            if not (told and self.stack.details.significant_bits):
                warnings.warn_explicit(entry.message, entry.category, entry.filename, entry.lineno)
        return found

    def _full(self, raw: NDArray[Any]) -> float | None:
        """Value from which a pixel is full: told, or the largest of its type when some pixel has it."""
        if self.saturation is not None:
            return self.saturation
        if raw.dtype.kind != "u":
            return None
        if not raw.size:
            return None
        largest, top = int(raw.max()), 2 ** (self.stack.details.significant_bits or 8 * raw.dtype.itemsize) - 1
        if largest > top:
            # Values beyond the bits that the file claims: the claim is wrong, and they are light.
            top = 2 ** (8 * raw.dtype.itemsize) - 1
        return float(top) if largest >= top else None


def _check_options(options: ReadOptions) -> None:
    if options.profile != "auto":
        raise UsageError(f"profile {options.profile!r} is for FITS files", hint="leave --profile out")
    if options.mask_planes is not None:
        raise UsageError("mask planes are for FITS files", code="mask_planes", hint="give --mask FILE")
    if options.ivar and options.weight:
        raise UsageError("--ivar and --weight are both given", hint="a pixel has one noise: name one of them")
    if (options.ivar or options.weight) and options.camera is not None:
        raise UsageError("a noise image and a camera's noise are both given", hint="a pixel has one noise: name one")
    limit = options.saturation if isinstance(options, StackRead) else None
    if limit is not None and not math.isfinite(limit):
        raise UsageError(f"saturation is {limit:g}, expected a value of the image")
    if options.weight and options.weight_type not in NOISE:
        raise UsageError(
            f"weight type {options.weight_type!r} is not known here", hint="--weight-type ivar, variance or rms"
        )


def grown_flags(flags: NDArray[np.uint32], grow: Mapping[str, int]) -> NDArray[np.uint32]:
    """Return flags (C, H, W), each named one widened by a disc of the given radius in pixels.

    Raises
    ------
    UsageError
        A flag that does not ask for filling, or a radius beyond 64.
    """
    from scipy.ndimage import distance_transform_edt

    flags = flags.copy()
    for name, radius in grow.items():
        bit = np.uint32(bits(name))
        if not 0 <= radius <= 64:
            raise UsageError(f"--grow {name}={radius} is not between 0 and 64 pixels")
        if not bit & np.uint32(FILL_BITS):
            raise UsageError(f"--grow {name}: pixels with this flag are not filled")
        for channel in flags if radius else ():
            hit = (channel & bit) != 0
            if hit.any():
                channel[distance_transform_edt(~hit) <= radius] |= bit
    return flags
