"""Is the prior meant for this? Holes larger than it was trained for, pixel scales outside its card."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gencosmo.errors import GencosmoWarning
from gencosmo.flags import bits
from gencosmo.image import Image
from gencosmo.priors.cards import Card

__all__ = ["judge_domain"]


def widest_holes(mask: NDArray[np.bool_], limit: int) -> tuple[NDArray[np.bool_], int]:
    """Pixels of holes in which a disc wider than `limit` fits, and the widest such diameter (0 if none)."""
    large = np.zeros(mask.shape, bool)
    widest = 0
    label, _count = ndimage.label(mask)
    for number, box in enumerate(ndimage.find_objects(label), start=1):
        if min(s.stop - s.start for s in box) <= limit:
            continue
        hole = np.pad(label[box] == number, 1)
        width = int(2 * ndimage.distance_transform_edt(hole).max())
        if width > limit:
            widest = max(widest, width)
            large[box] |= hole[1:-1, 1:-1]
    return large, widest


def judge_domain(image: Image, card: Card) -> NDArray[np.uint32]:
    """Flags (C, H, W) to add, with a `GencosmoWarning` for each kind of doubt.

    ``HOLE_TOO_LARGE`` on the pixels of holes wider than the card's largest, ``OUT_OF_DOMAIN`` on all masked pixels when
    the pixel scale is known and outside the card's range.
    """
    mask = image.mask
    extra = np.zeros(mask.shape, np.uint32)
    widest = 0
    for channel in range(mask.shape[0]):
        large, width = widest_holes(mask[channel], card.largest_hole)
        extra[channel][large] |= np.uint32(bits("HOLE_TOO_LARGE"))
        widest = max(widest, width)
    if widest:
        _warn(
            f"largest hole is {widest} px wide, the prior {card.name} was validated up to {card.largest_hole} px",
            "hole_too_large",
        )
    low, high = card.pixel_scale
    if image.pixel_scale is not None and not low <= image.pixel_scale <= high:
        extra[mask] |= np.uint32(bits("OUT_OF_DOMAIN"))
        _warn(f"pixel scale {image.pixel_scale:.3g}, prior {card.name} trained on {low:g} to {high:g}", "out_of_domain")
    return extra


def _warn(text: str, code: str) -> None:
    warnings.warn(GencosmoWarning(text, code=code), stacklevel=4)
