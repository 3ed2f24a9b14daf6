"""`desdm`: SCI, MSK (BADPIX bits), WGT (inverse variance) of the DES pipeline.

Bits: `libmaskbits.c` of DarkEnergySurvey/despyfits (2021), which public data releases follow. In data from before 2015
(DarkEnergySurvey/pixcorrect, `include/mask_bits.h`) bit 8 was LOW and 2048 was FIX. What asks for filling is what the
survey gives the weight zero. STAR tells of bright neighbours, not of a defect.
"""

from __future__ import annotations

from gencosmo.io.hdus import FitsFile
from gencosmo.io.layout import Layout, MaskPlanes, PlaneRef, Profile, mask_bits

__all__ = ["PLANES", "PROFILE"]

PLANES = MaskPlanes(
    mask_bits(
        {
            "BPM": (1, "BAD"),
            "SATURATE": (2, "SATURATED"),
            "INTERP": (4, "INTERPOLATED"),
            "BADAMP": (8, "BAD"),
            "CRAY": (16, "COSMIC_RAY"),
            "STAR": (32, ""),
            "TRAIL": (64, "BLEED"),
            "EDGEBLEED": (128, "BLEED"),
            "SSXTALK": (256, "BAD"),
            "EDGE": (512, "EDGE"),
            "STREAK": (1024, "STREAK"),
            "SUSPECT": (2048, "SUSPECT"),
            "FIXED": (4096, "INTERPOLATED"),
            "NEAREDGE": (8192, "SUSPECT"),
            "TAPEBUMP": (16384, "SUSPECT"),
        }
    ),
    frozenset({"BPM", "SATURATE", "BADAMP", "CRAY", "TRAIL", "EDGEBLEED", "SSXTALK", "EDGE", "STREAK"}),
    estimated=4,
)


def _detect(file: FitsFile) -> bool:
    return file.find("SCI") is not None and file.find("MSK") is not None


def _layouts(file: FitsFile) -> list[Layout]:
    science, mask, weight = file.find("SCI"), file.find("MSK"), file.find("WGT")
    assert science is not None
    assert mask is not None
    noise = PlaneRef(file, weight) if weight else None
    return [Layout("desdm", science, noise, "ivar", PlaneRef(file, mask), PLANES)]


PROFILE = Profile("desdm", "SCI + MSK (BADPIX bits) + WGT (inverse variance)", _detect, _layouts)
