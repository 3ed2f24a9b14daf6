"""PNG and JPEG: readable, and a warning that they are no measurements."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import FormatError, InputError, TooLargeError
from gencosmo.io.axes import Axes, Plane, Section, parse_axes
from gencosmo.io.stack import Details, Stack, check_dtype, warn

__all__ = ["PictureStack"]

_MODES = {"L": "L", "I;16": "I;16", "I;16B": "I;16B", "I": "I", "RGB": "RGB", "RGBA": "RGBA", "1": "L"}


class PictureStack(Stack):
    """A PNG or JPEG picture; see `gencosmo.io.stack.Stack`. Colour palettes and other kinds are read as RGB."""

    def __init__(self, path: str, axes: str | None, limit: int) -> None:
        from PIL import Image as Pillow
        from PIL import UnidentifiedImageError

        self.path, self.limit = os.fspath(path), limit
        try:
            with Pillow.open(self.path, formats=("PNG", "JPEG")) as picture:
                self.kind = str(picture.format).lower()
                self._check(picture.size)
                picture.load()
                kept = picture if picture.mode in _MODES else picture.convert("L" if _is_grey(picture) else "RGB")
                array = np.array(kept.convert(_MODES[kept.mode]) if kept.mode == "1" else kept)
        except (InputError, MemoryError):
            raise
        except Pillow.DecompressionBombError as error:
            raise TooLargeError(f"{self.path}: {error}") from None
        except UnidentifiedImageError:
            raise FormatError(f"{self.path} is not a PNG or JPEG file", code="not_picture") from None
        except Exception as error:  # of many kinds, for damaged pictures
            raise InputError(
                f"{self.path}: its data cannot be unpacked: {error}", code="truncated", hint="re-transfer the file"
            ) from None
        if array.dtype == np.int32 and array.min() >= 0 and array.max() < 1 << 16:
            array = array.astype(np.uint16)  # how pillow hands out 16-bit PNG in some versions
        self._array: NDArray[Any] = array.astype(array.dtype.newbyteorder("="), copy=False)
        self.dtype = check_dtype(self._array.dtype, self.path)
        self.axes: Axes = parse_axes("YX" if array.ndim == 2 else "YXS", array.shape, asked=axes, where=self.path)
        self.alpha = (3,) if self.axes.letters.endswith("S") and self.axes.samples == 4 else ()
        self.details = Details()
        how = "lossy: its pixels carry compression noise" if self.kind == "jpeg" else "a picture: it may be stretched"
        warn(f"{self.path} is {self.kind.upper()}, {how}, and has no physical sizes", "picture")

    def _check(self, size: tuple[int, int]) -> None:
        if size[0] * size[1] > self.limit:
            raise TooLargeError(
                f"{self.path} is {size[0]}x{size[1]} pixels, limit {self.limit:.2g}",
                hint="raise --max-pixels if the file is sound and the memory suffices",
            )

    def close(self) -> None:
        """Nothing stays open."""

    def read(self, plane: Plane, section: Section | None = None) -> NDArray[Any]:
        """Return values of one plane."""
        return np.ascontiguousarray(self.axes.plane(self._array, plane, section or (slice(None), slice(None))))


def _is_grey(picture: Any) -> bool:
    """Whether a picture of another kind holds grey levels: with opacity beside them, or as a palette of greys."""
    if picture.mode == "P":
        colors = np.array(picture.getpalette("RGB"), np.uint8).reshape(-1, 3)
        return bool((colors == colors[:, :1]).all())
    return picture.mode in ("LA", "La")
