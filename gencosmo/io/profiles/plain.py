"""`plain`: anything else. The first image with pixels is the science; NaN and BLANK are the only mask."""

from __future__ import annotations

import os

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
    notes = [f"{len(others)} more image HDUs are copied; take them with --hdu NAME or --hdu all"] if others else []
    notes += [f"{name} lies beside: --weight takes it" for name in _weights(file.path)]
    return [Layout("plain", first.science, notes=tuple(notes))]


def _weights(path: str) -> list[str]:
    """Weight maps named as SWarp and others do; what they hold is not written in them, so they are only told."""
    folder, name = os.path.split(path)
    stem, dot, ending = name.partition(".fit")
    names = [f"{stem}{word}{dot}{ending}" for word in (".weight", ".wht", "_weight", "_wht")]
    return [other for other in names if os.path.exists(os.path.join(folder, other))]


PROFILE = Profile("plain", "first image with pixels; NaN, BLANK and --mask", lambda file: True, _layouts)
