"""`lsst-v2`: IMAGE, MASK, VARIANCE with `MSKNnnnn` (name) and `MSKMnnnn` (value, not bit number) cards."""

from __future__ import annotations

from gencosmo.io.cards import Cards
from gencosmo.io.hdus import FitsFile
from gencosmo.io.layout import Layout, MaskPlanes, PlaneRef, Profile
from gencosmo.io.profiles.lsst_v1 import planes_from_names

__all__ = ["PROFILE", "planes_from_values"]


def planes_from_values(cards: Cards) -> MaskPlanes | None:
    """Read `MSKN` and `MSKM` cards; None when there are none."""
    values = {}
    for key in cards:
        if key.startswith("MSKN"):
            value = cards.get(f"MSKM{key[4:]}")
            if isinstance(value, int) and value > 0:
                values[cards.text(key).upper()] = value
    return planes_from_names(values) if values else None


def _detect(file: FitsFile) -> bool:
    mask = file.find("MASK")
    return file.find("IMAGE") is not None and mask is not None and planes_from_values(mask.cards) is not None


def _layouts(file: FitsFile) -> list[Layout]:
    science, mask, variance = file.find("IMAGE"), file.find("MASK"), file.find("VARIANCE")
    assert science is not None
    assert mask is not None
    noise = PlaneRef(file, variance) if variance else None
    return [Layout("lsst-v2", science, noise, "variance", PlaneRef(file, mask), planes_from_values(mask.cards))]


PROFILE = Profile("lsst-v2", "IMAGE + MASK (MSKN/MSKM cards: values) + VARIANCE", _detect, _layouts)
