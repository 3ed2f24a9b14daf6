"""`plain`: anything else. The first image with pixels is the science; NaN and BLANK are the only mask."""

from __future__ import annotations

from gencosmo.errors import InputError
from gencosmo.io.hdus import FitsFile
from gencosmo.io.layout import Layout, Profile

__all__ = ["PROFILE", "all_images"]


def all_images(file: FitsFile) -> list[Layout]:
    """Every image HDU as a science image of its own.

    Raises
    ------
    InputError
        `empty_image` or `no_image`.
    """
    images = [hdu for hdu in file.images() if not hdu.name.startswith("GCM_")]
    if not images:
        for hdu in file.hdus:
            if 0 in hdu.shape:
                axis = len(hdu.shape) - hdu.shape.index(0)
                raise InputError(f"image has zero pixels (NAXIS{axis}=0)", code="empty_image")
        raise InputError(f"no image HDU; {file.listing()}", code="no_image")
    return [Layout("plain", hdu) for hdu in images]


def _layouts(file: FitsFile) -> list[Layout]:
    first, *others = all_images(file)
    note = f"{len(others)} more image HDUs are copied; take them with --hdu NAME or --hdu all"
    return [Layout("plain", first.science, notes=(note,) if others else ())]


PROFILE = Profile("plain", "first image with pixels; NaN, BLANK and --mask", lambda file: True, _layouts)
