"""FITS as a row of the format table: `read` and `write` with plain arguments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import UsageError
from gencosmo.image import Image
from gencosmo.io.atomic import write_atomic
from gencosmo.io.build import empty_primary, flag_cards, image_hdu
from gencosmo.io.cards import Value
from gencosmo.io.filled import keep_filled, only_fills, split_planes
from gencosmo.io.fits import ReadOptions, read_fits, read_plane, whole_layouts
from gencosmo.io.fits_write import WriteOptions, write_filled
from gencosmo.io.hdus import Limits, open_fits
from gencosmo.io.noise import EXACT_ERROR
from gencosmo.io.pixels import Section
from gencosmo.result import Result

__all__ = ["read", "write"]


def read(path: str, *, section: Section | None = None, max_pixels: int | None = None, **options: Any) -> Image:
    """Read one image; the arguments are those of `gencosmo.io.read`."""
    limits = Limits() if max_pixels is None else Limits(pixels=max_pixels, unpacked=32 * max_pixels)
    return read_fits(path, ReadOptions(limits=limits, **options), section)


def write(path: str, content: Image | Result, *, like: str | None, image: Image | None, overwrite: bool) -> None:
    """Write an Image or a Result; see `gencosmo.io.write`."""
    if isinstance(content, Image):
        if like is not None:
            raise UsageError("like= goes with a Result: an Image has no filled pixels to put into a file")
        write_atomic(path, _image_file(content), overwrite=overwrite)
    elif like is None:
        write_atomic(path, _result_file(content), overwrite=overwrite)
    else:
        _write_like(path, content, like, image, overwrite)


def _write_like(path: str, result: Result, like: str, image: Image | None, overwrite: bool) -> None:
    with open_fits(like) as file:
        options = ReadOptions(hdu=None if image is None else image.meta.get("hdu"))
        layout = whole_layouts(file, options)[0]
        image = read_plane(file, layout, options) if image is None else image
        known = result.provenance
        words = {"GCMMODEL": str(known.get("prior", "")), "GCMSEED": str(known.get("seed", ""))}
        denoised = result.filled is not None and result.anomaly_map is None and not only_fills(result)
        samples = result.samples is not None
        done = [
            keep_filled(*one, words, samples=samples, everywhere=denoised)
            for one in split_planes(layout, image, result)
        ]
        write_filled(file, done, path, WriteOptions(overwrite=overwrite))


def _unit(unit: str | None) -> dict[str, tuple[Value, str]]:
    return {"BUNIT": (unit, "")} if unit and unit.isascii() and len(unit) < 60 else {}


def _flat(array: Any, planar: bool) -> Any:
    return array[0] if planar else array


def _image_file(image: Image) -> Iterable[bytes]:
    """SCI, ERR (0 = unknown, GCMEXACT = exact) and DQ: reading gives them back, `ivar` up to its rounding."""
    flat = image.planar or image.shape[0] == 1
    yield from empty_primary()
    scale: dict[str, tuple[Value, str]] = {}
    if image.pixel_scale is not None:
        scale["PIXSCALE"] = (float(image.pixel_scale), "per pixel")
    yield from image_hdu(_flat(image.data, flat), "SCI", more=_unit(image.unit) | scale)
    if image.ivar is not None:
        error, exact = _errors(image.ivar)
        yield from image_hdu(_flat(error, flat), "ERR", more=_unit(image.unit) | exact)
    if image.flags is not None:
        yield from image_hdu(_flat(image.flags, flat), "DQ", more=flag_cards())


def _errors(ivar: NDArray[np.float32]) -> tuple[NDArray[np.float32], dict[str, tuple[Value, str]]]:
    """Standard deviations, 0 where unknown; and a card when some values are exact, which 0 cannot say."""
    wide = ivar.astype(np.float64)
    error = np.divide(1.0, np.sqrt(wide), out=np.zeros_like(wide), where=wide > 0).astype(np.float32)
    exact = np.isinf(ivar)
    error[exact] = EXACT_ERROR
    return error, {"GCMEXACT": (EXACT_ERROR, "stands for an exact value")} if exact.any() else {}


def _result_file(result: Result) -> Iterable[bytes]:
    """SCI, GCM_STD, and what else there is: GCM_FILL, DQ, GCM_SAMP."""
    more: Mapping[str, tuple[Value, str]] = {"GCMTARG": (result.target, "what was estimated: frame or scene")}
    more = _unit(result.unit) | dict(more)
    yield from empty_primary()
    yield from image_hdu(result.mean, "SCI", more=more)
    yield from image_hdu(result.std, "GCM_STD", more=more)
    if result.filled is not None:
        yield from image_hdu(result.filled.astype(np.uint8), "GCM_FILL")
    if result.flags is not None:
        yield from image_hdu(result.flags, "DQ", more=flag_cards())
    if result.samples is not None:
        yield from image_hdu(result.samples, "GCM_SAMP", more=more)
