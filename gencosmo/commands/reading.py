"""Options about reading, from the words of the command line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from gencosmo.commands.inpaint import parse_grow
from gencosmo.errors import UsageError
from gencosmo.finders import check_finders
from gencosmo.io.fits import ReadOptions
from gencosmo.io.fits_write import WriteOptions
from gencosmo.io.hdus import Limits
from gencosmo.io.ngff import check_version
from gencosmo.io.registry import named_format
from gencosmo.io.stack_options import StackRead, StackWrite

__all__ = ["parse_channels", "parse_find", "prior_for", "read_options", "write_options"]

PRIORS = {"fits": "sky", "tiff": "cells", "zarr": "cells", "picture": "cells"}
"""The prior for each file format when none is named."""


def prior_for(inputs: Iterable[str], prior: str) -> str:
    """Return `prior`, or for "auto" the one for the inputs' format.

    Raises
    ------
    UsageError
        When the inputs are of formats with different priors.
    """
    if prior != "auto":
        return prior
    formats = [named_format(path) for path in inputs]
    names = {PRIORS[found.name] if found is not None else "sky" for found in formats}
    if len(names) > 1:
        raise UsageError(
            f"the inputs are of formats with different priors: {', '.join(sorted(names))}",
            hint="run them apart, or name one with --prior",
        )
    return names.pop() if names else "sky"


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
    channels: str | None = None,
    axes: str | None = None,
    saturation: float | None = None,
) -> ReadOptions:
    """Return the options; the arguments are the texts that the user typed.

    Raises
    ------
    UsageError
        When one of them has no meaning.
    """
    if max_pixels is not None and max_pixels < 64:
        raise UsageError(f"--max-pixels {max_pixels} is not at least 64")
    options = ReadOptions(
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
    if channels is None and axes is None and saturation is None:
        return options
    own = {field.name: getattr(options, field.name) for field in fields(ReadOptions)}
    return StackRead(**own, channels=parse_channels(channels), axes=axes, saturation=saturation)


def write_options(ngff: str | None, **words: Any) -> WriteOptions:
    """Return how to write; `words` are those of `WriteOptions`.

    Raises
    ------
    UsageError
        When one of them has no meaning.
    """
    if ngff is None:
        return WriteOptions(**words)
    return StackWrite(**words, ngff=check_version(ngff))


def parse_channels(text: str | None) -> tuple[int, ...] | None:
    """Read `0,2` as numbers, each once.

    Raises
    ------
    UsageError
    """
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() for part in parts):
        raise UsageError(f"--channels {text!r} is not a list of numbers", code="channels", hint="for example 0,2")
    return tuple(dict.fromkeys(map(int, parts)))


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
