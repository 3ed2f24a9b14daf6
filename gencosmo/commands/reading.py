"""Options about reading, from the words of the command line."""

from __future__ import annotations

from gencosmo.commands.inpaint import parse_grow
from gencosmo.errors import UsageError
from gencosmo.io.fits import ReadOptions
from gencosmo.io.hdus import Limits

__all__ = ["read_options"]


def read_options(
    *,
    hdu: str | None,
    profile: str,
    mask: str | None,
    ivar: str | None,
    weight: str | None,
    weight_type: str,
    mask_planes: str | None,
    grow: str | None,
    max_pixels: int | None,
) -> ReadOptions:
    """Return the options; the arguments are the texts that the user typed.

    Raises
    ------
    UsageError
        When one of them has no meaning.
    """
    if max_pixels is not None and max_pixels < 64:
        raise UsageError(f"--max-pixels {max_pixels} is not at least 64")
    return ReadOptions(
        hdu=hdu,
        profile=profile,
        mask=mask,
        ivar=ivar,
        weight=weight,
        weight_type=weight_type,
        mask_planes=None if mask_planes is None else tuple(mask_planes.upper().split(",")),
        grow=parse_grow(grow),
        limits=Limits() if max_pixels is None else Limits(pixels=max_pixels, unpacked=32 * max_pixels),
    )
