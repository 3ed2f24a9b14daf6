"""Options about reading, from the words of the command line."""

from __future__ import annotations

from gencosmo.commands.inpaint import parse_grow
from gencosmo.errors import UsageError
from gencosmo.finders import check_finders
from gencosmo.io.fits import ReadOptions
from gencosmo.io.hdus import Limits

__all__ = ["parse_find", "read_options"]


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
    find: str | None,
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
        find=parse_find(find),
        limits=Limits() if max_pixels is None else Limits(pixels=max_pixels, unpacked=32 * max_pixels),
    )


def parse_find(text: str | None) -> tuple[str, ...]:
    """Read `cr,sat` as names of finders, each once.

    Raises
    ------
    UsageError
        When there is no finder of that name, or the package it needs is not there.
    """
    names = tuple(dict.fromkeys(name.strip().lower() for name in (text or "").split(",") if name.strip()))
    check_finders(names)
    return names
