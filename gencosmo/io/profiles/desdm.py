"""`desdm`: SCI, MSK (BADPIX bits), WGT (inverse variance) of the DES pipeline."""

from __future__ import annotations

from gencosmo.io.hdus import FitsFile
from gencosmo.io.layout import Layout, MaskPlanes, PlaneRef, Profile, mask_bits

__all__ = ["PROFILE"]

_PLANES = MaskPlanes(
    mask_bits(
        {
            "BPM": (1, "BAD"),
            "SATURATE": (2, "SATURATED"),
            "INTERP": (4, "INTERPOLATED"),
            "CRAY": (16, "COSMIC_RAY"),
            "STAR": (32, ""),
            "TRAIL": (64, "BLEED"),
            "EDGEBLEED": (128, "BLEED"),
            "STREAK": (1024, "STREAK"),
            "FIX": (2048, "INTERPOLATED"),
        }
    ),
    frozenset({"BPM", "SATURATE", "CRAY", "TRAIL", "EDGEBLEED", "STREAK"}),
    estimated=4,
)


def _detect(file: FitsFile) -> bool:
    return file.find("SCI") is not None and file.find("MSK") is not None


def _layouts(file: FitsFile) -> list[Layout]:
    science, mask, weight = file.find("SCI"), file.find("MSK"), file.find("WGT")
    assert science is not None
    assert mask is not None
    noise = PlaneRef(file, weight) if weight else None
    return [Layout("desdm", science, noise, "ivar", PlaneRef(file, mask), _PLANES)]


PROFILE = Profile("desdm", "SCI + MSK (BADPIX bits) + WGT (inverse variance)", _detect, _layouts)
