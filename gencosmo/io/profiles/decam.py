"""`decam`: the `_ooi_` image, `_oow_` weight (inverse variance, 0 = bad), `_ood_` mask files of the NOIRLab pipeline,
of DECam, and with the same names of Mosaic3 (`k4m_`) and 90prime (`ksb_`).

Masks of DECam hold bits before PLVER V3.5.0 and integer codes since (community.lsst.org/t/133; `decam.py` and
`cpimage.py` of legacysurvey/legacypipe, August 2026); those of the other cameras hold codes, whatever their PLVER
(`mosaic.py`, `bok.py` there). `decam-bits` and `decam-codes` are the same profile with the user's word for it. In some
runs before V4.8.0 the codes 5 (cosmic ray) and 8 (streak) were mixed up; a note says so.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from functools import partial

from gencosmo.errors import InputError
from gencosmo.io.companion import open_companion, refuse_companion
from gencosmo.io.hdus import FitsFile, Hdu
from gencosmo.io.layout import Layout, MaskPlanes, PlaneRef, Profile, mask_bits

__all__ = ["BITS", "BIT_PLANES", "CODES", "CODE_PLANES", "PROFILE"]

BIT_PLANES = MaskPlanes(
    mask_bits(
        {
            "BAD": (1, "BAD"),
            "SATURATED": (2, "SATURATED"),
            "INTERP": (4, "INTERPOLATED"),
            "CR": (16, "COSMIC_RAY"),
            "BLEED": (64, "BLEED"),
            "TRANSIENT": (128, "TRANSIENT"),
        }
    ),
    frozenset({"BAD", "SATURATED", "CR", "BLEED"}),
    estimated=4,
)

CODE_PLANES = MaskPlanes(
    mask_bits(
        {
            "BAD": (1, "BAD"),
            "NO_VALUE": (2, "NO_DATA"),
            "SATURATED": (3, "SATURATED"),
            "BLEED": (4, "BLEED"),
            "CR": (5, "COSMIC_RAY"),
            "LOW_WEIGHT": (6, "BAD"),
            "DIFFERENCE": (7, "TRANSIENT"),
            "STREAK": (8, "STREAK"),
        }
    ),
    frozenset({"BAD", "NO_VALUE", "SATURATED", "BLEED", "CR", "LOW_WEIGHT", "STREAK"}),
    codes=True,
)

_MIXED = "before PLVER V4.8.0 some masks mixed up cosmic rays (CR) and streaks (STREAK): compare, or use --mask-planes"


def _other_name(path: str, letter: str) -> str | None:
    folder, name = os.path.split(path)
    other = name.replace("_ooi_", f"_oo{letter}_")
    return None if other == name else os.path.join(folder, other)


def _partner(file: FitsFile, letter: str) -> str | None:
    path = _other_name(file.path, letter)
    return path if path is not None and os.path.exists(path) else None


def _detect(file: FitsFile) -> bool:
    for letter, what in (("w", "weight"), ("d", "mask")):
        folder, name = os.path.split(file.path)
        image = os.path.join(folder, name.replace(f"_oo{letter}_", "_ooi_"))
        refuse_companion(file.path, what, None if image == file.path else image)
    return "_ooi_" in os.path.basename(file.path) and bool(_partner(file, "w") or _partner(file, "d"))


def _version(ref: PlaneRef) -> tuple[int, int] | None:
    word = ref.file.primary.text("PLVER") or ref.hdu.cards.text("PLVER")
    match = re.match(r"(?:DES *)?V?(\d+)\.(\d+)", word)
    return None if match is None else (int(match[1]), int(match[2]))


def _planes(ref: PlaneRef) -> MaskPlanes:
    """Find out what the numbers of a mask mean: by its camera, then by the version of the pipeline."""
    camera = ref.file.primary.text("INSTRUME").lower()
    if camera in ("mosaic3", "90prime"):
        return CODE_PLANES
    version = _version(ref)
    if version is None:
        word = ref.file.primary.text("PLVER") or ref.hdu.cards.text("PLVER")
        raise InputError(
            f"PLVER={word!r} does not tell whether {os.path.basename(ref.file.path)} holds bits or codes",
            code="dq_format",
            hint="say it: --profile decam-bits (before V3.5.0) or --profile decam-codes (since)",
        )
    return CODE_PLANES if version >= (3, 5) else BIT_PLANES


def _one(file: FitsFile, science: Hdu, planes: MaskPlanes | None) -> Layout:
    layout = Layout("decam", science)
    weight, mask = _partner(file, "w"), _partner(file, "d")
    if weight:
        ref = open_companion(file, weight, like=science, rename=partial(_other_name, letter="w"))
        layout = replace(layout, noise=ref, noise_kind="ivar")
    if mask:
        ref = open_companion(file, mask, like=science, rename=partial(_other_name, letter="d"))
        chosen = planes or _planes(ref)
        mixed = chosen.codes and (_version(ref) or (9, 0)) < (4, 8)
        layout = replace(layout, dq=ref, planes=chosen, notes=(_MIXED,) if mixed else ())
    return layout


def _layouts(file: FitsFile, planes: MaskPlanes | None = None) -> list[Layout]:
    images = [hdu for hdu in file.images() if not hdu.name.startswith("GCM_")]
    if not images:
        raise InputError(f"no image HDU; {file.listing()}", code="no_image")
    return [_one(file, science, planes) for science in images]


PROFILE = Profile("decam", "triplet of `_ooi_` image, `_oow_` inverse variance, `_ood_` mask", _detect, _layouts)
BITS = Profile("decam-bits", "the same, the mask holds bits", lambda file: False, partial(_layouts, planes=BIT_PLANES))
CODES = Profile(
    "decam-codes", "the same, the mask holds codes", lambda file: False, partial(_layouts, planes=CODE_PLANES)
)
