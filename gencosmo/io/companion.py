"""Planes that live in another file: the partner of an image in a triplet, or what the user names as
`FILE[HDU]`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from gencosmo.errors import InputError
from gencosmo.io.hdus import FitsFile, Hdu, open_fits
from gencosmo.io.layout import PlaneRef

__all__ = ["open_companion", "refuse_companion", "split_path"]


def refuse_companion(path: str, what: str, image: str | None) -> None:
    """Raise when a file that goes with an image is given as if it were one; `image` is that image, if it is there.

    Raises
    ------
    InputError
        `companion`.
    """
    if image is not None and os.path.exists(image):
        raise InputError(
            f"{os.path.basename(path)} is the {what} of {os.path.basename(image)}",
            code="companion",
            hint="give the image, this comes along; --profile plain takes it for an image",
        )


def split_path(text: str) -> tuple[str, str | None]:
    """Split `FILE[HDU]`; a file whose name really ends in brackets wins."""
    match = re.match(r"(.+)\[([^\[\]]+)\]$", text)
    if match is None or os.path.exists(text):
        return text, None
    return match.group(1), match.group(2)


def open_companion(
    file: FitsFile, text: str, *, like: Hdu, rename: Callable[[str], str | None] | None = None
) -> PlaneRef:
    """Open another file and find the plane that belongs to the science HDU `like`.

    The HDU in brackets when given; else the one with the same EXTNAME and EXTVER, else the only image of the
    file. The file is closed together with `file`. `rename`: for partners that a survey names after the image, what
    the partner of an output is called.

    Raises
    ------
    InputError
        `hdu_not_found` when it is not clear which HDU is meant.
    """
    path, key = split_path(text)
    for known in file.companions:
        if known.path == path:
            other = known
            break
    else:
        other = open_fits(path, file.limits)
        file.companions.append(other)
    other.partner_name = rename or other.partner_name
    if key is not None:
        return PlaneRef(other, other.select(key))
    images = other.images()
    for hdu in images:
        if len(images) > 1 and (hdu.name.upper(), hdu.version) == (like.name.upper(), like.version):
            return PlaneRef(other, hdu)
    if len(images) != 1:
        raise InputError(
            f"{path} has {len(images)} images, none of them named {like.name!r}",
            code="hdu_not_found",
            hint=f"write {os.path.basename(path)}[HDU]; {other.listing()}",
        )
    return PlaneRef(other, images[0])
