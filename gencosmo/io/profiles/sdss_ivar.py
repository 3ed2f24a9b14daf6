"""`sdss-ivar`: an image with its inverse variance in an HDU named IVAR, or in a companion `-ivar-` file.

Legacy Surveys bricks name their files `...-image-r.fits.fz` and `...-ivar-r.fits.fz`. Zero = bad.
"""

from __future__ import annotations

import os

from gencosmo.errors import InputError
from gencosmo.io.companion import open_companion, refuse_companion
from gencosmo.io.hdus import FitsFile, Hdu
from gencosmo.io.layout import Layout, PlaneRef, Profile

__all__ = ["PROFILE"]


def _other_name(path: str) -> str | None:
    folder, name = os.path.split(path)
    return os.path.join(folder, name.replace("-image-", "-ivar-")) if "-image-" in name else None


def _companion(file: FitsFile) -> str | None:
    other = _other_name(file.path)
    return other if other is not None and os.path.exists(other) else None


def _science(file: FitsFile) -> Hdu | None:
    return next((hdu for hdu in file.images() if hdu.name.upper() != "IVAR"), None)


def _detect(file: FitsFile) -> bool:
    folder, name = os.path.split(file.path)
    if "-ivar-" in name:
        refuse_companion(file.path, "inverse variance", os.path.join(folder, name.replace("-ivar-", "-image-")))
    named = file.find("IVAR") is not None or _companion(file) is not None
    return named and _science(file) is not None


def _layouts(file: FitsFile) -> list[Layout]:
    science = _science(file)
    if science is None:
        raise InputError(f"no image HDU beside IVAR; {file.listing()}", code="no_image")
    own, other = file.find("IVAR"), _companion(file)
    noise = PlaneRef(file, own) if own else None
    if noise is None and other is not None:
        noise = open_companion(file, other, like=science, rename=_other_name)
    return [Layout("sdss-ivar", science, noise, "ivar")]


PROFILE = Profile("sdss-ivar", "image + IVAR HDU or companion -ivar- file", _detect, _layouts)
