"""Is the prior meant for this? Holes larger than it was trained for, pixel scales outside its card, unseen looks."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gencosmo.errors import GencosmoWarning
from gencosmo.flags import FILL_BITS, bits
from gencosmo.image import Image
from gencosmo.priors.cards import Card
from gencosmo.priors.looks import SIDE, STATISTICS, frame_looks, strange_looks
from gencosmo.scaling import measure_scaling

__all__ = ["judge_domain", "unseen_looks"]

REACH = 0.75
"""Widths of a disc around its centre that count as wide too: the corners of a square hole do."""


def widest_holes(mask: NDArray[np.bool_], limit: int) -> tuple[NDArray[np.bool_], int]:
    """Pixels of holes where these are wider than `limit`, and the widest such width (0 if none).

    Wide is where a disc of more than `limit` pixels' diameter fits, and what lies within half a radius of such a disc;
    a narrow column that runs into a gap is not. Nothing is seen beyond the frame, so that its edge ends no disc.
    """
    large = np.zeros(mask.shape, bool)
    farthest = 0.0
    # such a disc holds this square: on most frames none does, and a million small holes need not be looked at
    square = max(1, int(limit / np.sqrt(2)))
    inner = mask & (ndimage.minimum_filter(mask.view(np.uint8), square, mode="constant", cval=1) > 0)
    if not inner.any():
        return large, 0
    label, _count = ndimage.label(mask)
    boxes = ndimage.find_objects(label)
    for number in np.unique(label[inner]).tolist():
        box = boxes[number - 1]
        around = tuple(slice(max(0, cut.start - 1), cut.stop + 1) for cut in box)
        hole = label[around] == number
        if hole.all():
            return hole, 2 * max(mask.shape)
        distance = ndimage.distance_transform_edt(hole)
        if 2 * distance.max() < limit + 1:
            continue
        farthest = max(farthest, float(distance.max()))
        near = ndimage.distance_transform_edt(2 * distance < limit + 1) <= REACH * limit
        large[around] |= hole & near
    return large, int(2 * farthest)


def judge_domain(image: Image, card: Card) -> NDArray[np.uint32]:
    """Flags (C, H, W) to add, with a `GencosmoWarning` for each kind of doubt.

    ``HOLE_TOO_LARGE`` where holes are wider than the card's largest; ``OUT_OF_DOMAIN`` on all masked pixels when
    the pixel scale is known and outside the card's range, and on those of a channel that looks unlike the training
    frames.
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
            f"masked pixels lie up to {widest // 2} px from good ones, as in a hole {widest} px wide; "
            f"the prior {card.name} was validated up to {card.largest_hole} px",
            "hole_too_large",
        )
    low, high = card.pixel_scale
    if image.pixel_scale is not None and not low <= image.pixel_scale <= high:
        extra[mask] |= np.uint32(bits("OUT_OF_DOMAIN"))
        _warn(f"pixel scale {image.pixel_scale:.3g}, prior {card.name} trained on {low:g} to {high:g}", "out_of_domain")
    _judge_looks(image, card, mask, extra)
    return extra


def _judge_looks(image: Image, card: Card, mask: NDArray[np.bool_], extra: NDArray[np.uint32]) -> None:
    """Flag the channels that look unlike the training frames, and warn once."""
    strange = {c: why for c in range(mask.shape[0]) if (why := unseen_looks(image, c, card))}
    for channel in strange:
        extra[channel][mask[channel]] |= np.uint32(bits("OUT_OF_DOMAIN"))
    if strange:
        first, why = next(iter(strange.items()))
        others = f" and {len(strange) - 1} more" if len(strange) > 1 else ""
        where = f"channel {first}{others}" if mask.shape[0] > 1 else "the image"
        _warn(f"{where}: unlike the frames that prior {card.name} was trained on: {why}", "out_of_domain", depth=5)


def unseen_looks(image: Image, channel: int, card: Card) -> str:
    """What about a channel lies outside the range of the card's training frames; empty when nothing does.

    The middle of the channel is looked at, and of two reasons the one that says more about the kind of image is told.
    """
    if not card.domain:
        return ""
    top, left = (max(0, side - SIDE) // 2 for side in image.shape[1:])
    cut = np.s_[channel, top : top + SIDE, left : left + SIDE]
    values = image.data[cut]
    good = np.ones(values.shape, bool) if image.flags is None else (image.flags[cut] & np.uint32(FILL_BITS)) == 0
    if not good.any():
        return ""
    ivar = None if image.ivar is None else image.ivar[cut]
    looks = frame_looks(measure_scaling(values, good, ivar).to_flux(values), good)
    strange = strange_looks(looks, card.domain)
    if not strange:
        return ""
    low, high = card.domain[strange[0]]
    return f"{STATISTICS[strange[0]]} ({strange[0]} {looks[strange[0]]:.2f}, accepted {low:.2f} to {high:.2f})"


def _warn(text: str, code: str, depth: int = 4) -> None:
    warnings.warn(GencosmoWarning(text, code=code), stacklevel=depth)
