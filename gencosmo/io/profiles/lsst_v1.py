"""`lsst-v1`: IMAGE, MASK, VARIANCE with `MP_<NAME>` cards in the mask header.

The value of such a card is a bit NUMBER. Planes are added at run time and their numbers differ between files,
so the cards are always read. What the names mean: `include/lsst/afw/image/Mask.h` (lsst/afw, April 2026) and the names
of release DP2 in `python/lsst/images/_mask.py` (lsst/images, August 2026).

EDGE and DETECTION_EDGE tell where sources were not looked for; the pixels are sound. In a coadd (it has one of the
planes CLIPPED, REJECTED, INEXACT_PSF) CR says that some input was hit and left out or repaired: told, not filled.
"""

from __future__ import annotations

from gencosmo.flags import FLAGS, bits_of
from gencosmo.io.cards import Cards
from gencosmo.io.hdus import FitsFile
from gencosmo.io.layout import Layout, MaskBit, MaskPlanes, PlaneRef, Profile

__all__ = ["FLAG_WORDS", "PROFILE", "planes_from_cards", "planes_from_names"]

FLAG_WORDS = {name: name for name in FLAGS} | {
    "SAT": "SATURATED",
    "CR": "COSMIC_RAY",
    "INTRP": "INTERPOLATED",
    "DETECTION_EDGE": "EDGE",
    "UNMASKEDNAN": "NO_DATA",
    "UNMASKED_NAN": "NO_DATA",
    "CROSSTALK": "SUSPECT",
    "VIGNETTED": "SUSPECT",
    "PARTLY_VIGNETTED": "SUSPECT",
    "ITL_DIP": "SUSPECT",
    "HIGH_VARIANCE": "SUSPECT",
}
"""Names that mask planes carry in files, and our flags for them; other names have none."""

_BAD = frozenset(name for name, flag in FLAG_WORDS.items() if FLAGS[flag].fill and flag != "EDGE")
_ESTIMATED = ("FILLED", "INTRP", "INTERPOLATED")
_OURS = {name: flag.value for name, flag in FLAGS.items()}
_COADD = frozenset({"CLIPPED", "REJECTED", "INEXACT_PSF"})


def planes_from_names(values: dict[str, int]) -> MaskPlanes:
    """Make mask planes from `{name: bit value}` as it stands in a header."""
    rows = tuple(MaskBit(name, value, bits_of(FLAG_WORDS.get(name, "").split())) for name, value in values.items())
    estimated = next((values[name] for name in _ESTIMATED if name in values), None)
    selected = frozenset(values) & _BAD
    if values == _OURS:  # a mask that gencosmo wrote
        selected |= {"EDGE"}
    if _COADD & frozenset(values):
        selected -= {"CR", "COSMIC_RAY"}
    return MaskPlanes(rows, selected, estimated=estimated)


def planes_from_cards(cards: Cards) -> MaskPlanes | None:
    """Read `MP_<NAME>` cards; None when there are none."""
    values = {}
    for key in cards:
        number = cards.get(key)
        if key.startswith("MP_") and isinstance(number, int) and 0 <= number < 63:
            values[key[3:]] = 1 << number
    return planes_from_names(values) if values else None


def _detect(file: FitsFile) -> bool:
    mask = file.find("MASK")
    return file.find("IMAGE") is not None and mask is not None and planes_from_cards(mask.cards) is not None


def _layouts(file: FitsFile) -> list[Layout]:
    science, mask, variance = file.find("IMAGE"), file.find("MASK"), file.find("VARIANCE")
    assert science is not None
    assert mask is not None
    noise = PlaneRef(file, variance) if variance else None
    return [Layout("lsst-v1", science, noise, "variance", PlaneRef(file, mask), planes_from_cards(mask.cards))]


PROFILE = Profile("lsst-v1", "IMAGE + MASK (MP_ cards: bit numbers) + VARIANCE", _detect, _layouts)
