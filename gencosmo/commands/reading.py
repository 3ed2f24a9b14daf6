"""Options about reading, from the words of the command line."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from gencosmo.commands.inpaint import parse_grow
from gencosmo.errors import UsageError
from gencosmo.finders import check_finders
from gencosmo.io.camera import Camera
from gencosmo.io.fits import ReadOptions
from gencosmo.io.fits_write import WriteOptions
from gencosmo.io.hdus import Limits
from gencosmo.io.ngff import check_version
from gencosmo.io.registry import kind_of
from gencosmo.io.stack_options import StackRead, StackWrite

__all__ = [
    "noise_or_camera",
    "parse_camera",
    "parse_channels",
    "parse_find",
    "parse_numbers",
    "prior_for",
    "read_options",
    "stack_words",
    "write_options",
]

PRIORS = {"fits": "sky", "tiff": "cells", "zarr": "cells", "picture": "cells", "bioio": "cells"}
"""The prior for each file format when none is named."""
INSTEAD = {"scenes": {"sky": "sky-scenes"}, "scores": {"sky": "sky-small"}}
"""What takes a prior's place for the scene behind a point-spread function (decision 0018), and for scoring, which asks
it ten times (decision 0027)."""


def prior_for(inputs: Iterable[str], prior: str, use: str = "fills") -> str:
    """Return `prior`, or for "auto" the one for the inputs' format and a `use`: fills, scenes or scores.

    Raises
    ------
    UsageError
        When the inputs are of formats with different priors.
    """
    if prior != "auto":
        return prior
    names = {PRIORS[kind_of(path) or "fits"] for path in inputs}
    if len(names) > 1:
        raise UsageError(
            f"the inputs are of formats with different priors: {', '.join(sorted(names))}",
            hint="run them apart, or name one with --prior",
        )
    found = names.pop() if names else "sky"
    return INSTEAD.get(use, {}).get(found, found)


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
    camera: Camera | None = None,
    **stack: Any,
) -> ReadOptions:
    """Return the options; the arguments are the texts that the user typed, `stack` those of :func:`stack_words`.

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
        camera=camera,
    )
    words = stack_words(**stack)
    if all(value is None for value in words.values()):
        return options
    own = {field.name: getattr(options, field.name) for field in fields(ReadOptions)}
    return StackRead(**own, **words)


def stack_words(
    *,
    channels: str | None = None,
    times: str | None = None,
    depths: str | None = None,
    axes: str | None = None,
    saturation: float | None = None,
    illumination: int | None = None,
) -> dict[str, Any]:
    """Return what only files with axes have, as `StackRead` takes it."""
    return {
        "channels": parse_channels(channels),
        "times": parse_numbers(times, "times"),
        "depths": parse_numbers(depths, "depths"),
        "axes": axes,
        "saturation": saturation,
        "illumination": illumination,
    }


def parse_camera(
    noise: str | None, gain: float | None, offset: float | None, read_noise: float | None
) -> Camera | None:
    """Read the options about a camera's noise; None when there are none.

    Raises
    ------
    UsageError
        `bad_noise`.
    """
    if noise in ("estimate", "file"):
        return Camera(gain, offset, read_noise, source=noise)  # type: ignore[arg-type]  # one of the two words
    if noise is None:
        if (gain, offset, read_noise) == (None, None, None):
            return None
        return Camera(gain, offset, read_noise)
    try:
        value = float(noise)
    except ValueError:
        raise UsageError(
            f"--noise {noise!r} is not estimate, file, or a number", code="bad_noise", hint="for example --noise 12.5"
        ) from None
    return Camera(gain, offset, read_noise, std=value)


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


def noise_or_camera(
    noise: str | None, gain: float | None, offset: float | None, read_noise: float | None
) -> tuple[float | None, Camera | None]:
    """The same for commands that also take a standard deviation for files without a camera: number, camera."""
    camera = parse_camera(noise, gain, offset, read_noise)
    return (None, camera) if camera is None or camera.std is None else (camera.std, None)


MOST_NUMBERS = 1 << 20


def parse_numbers(text: str | None, option: str) -> tuple[int, ...] | None:
    """Read `0,2` or `0:10` (without 10) as numbers, each once.

    Raises
    ------
    UsageError
    """
    if text is None:
        return None
    found: list[int] = []
    for part in text.split(","):
        first, colon, stop = (word.strip() for word in part.partition(":"))
        if not first.isdigit() or (colon and not (stop.isdigit() and int(first) < int(stop) < MOST_NUMBERS)):
            raise UsageError(
                f"--{option} {text!r} is not a list of numbers",
                code=option,
                hint="for example 0,2 or 0:10 (0 to 9); gencosmo check tells what the file has",
            )
        found += range(int(first), int(stop)) if colon else [int(first)]
    return tuple(dict.fromkeys(found))


def parse_channels(text: str | None) -> tuple[int | str, ...] | None:
    """Read `0,DAPI` or `0:3` as numbers and names, each once; a name with a comma stands in double quotes.

    Raises
    ------
    UsageError
    """
    if text is None:
        return None
    found: list[int | str] = []
    for part in next(csv.reader([text], skipinitialspace=True), [""]) or [""]:
        word = part.strip()
        if not word:
            raise UsageError(
                f"--channels {text!r} is not a list of numbers and names",
                code="channels",
                hint="for example 0,2 or 0:3 (0 to 2) or DAPI,GFP; gencosmo check tells what the file has",
            )
        found += (parse_numbers(word, "channels") or ()) if re.fullmatch(r"\d+(\s*:\s*\d+)?", word) else [word]
    return tuple(dict.fromkeys(found))


def parse_find(text: str | None) -> tuple[str, ...]:
    """Read `cr,sat` as names of finders, each once.

    Raises
    ------
    UsageError
        When there is no finder of that name, or the package it needs is not there.
    """
    words = [name.strip().lower() for name in (text or "").split(",") if name.strip()]
    names = tuple(dict.fromkeys("sat" if word == "saturated" else word for word in words))
    check_finders(names)
    return names
