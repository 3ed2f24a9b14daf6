"""`decam`: the `_ooi_` image, `_oow_` weight (inverse variance, 0 = bad) and `_ood_` mask files of the
NOIRLab pipeline.

The mask holds bits before PLVER V3.5.0 and integer codes since (legacypipe's `decam.py`;
community.lsst.org/t/133).
"""

from __future__ import annotations

import os
import re
from dataclasses import replace

from gencosmo.errors import InputError
from gencosmo.io.companion import open_companion
from gencosmo.io.hdus import FitsFile, Hdu
from gencosmo.io.layout import Layout, MaskPlanes, PlaneRef, Profile, mask_bits

__all__ = ["PROFILE"]

_BITS = MaskPlanes(
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

_CODES = MaskPlanes(
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


def _partner(file: FitsFile, letter: str) -> str | None:
    folder, name = os.path.split(file.path)
    path = os.path.join(folder, name.replace("_ooi_", f"_oo{letter}_"))
    return path if path != file.path and os.path.exists(path) else None


def _detect(file: FitsFile) -> bool:
    return "_ooi_" in os.path.basename(file.path) and bool(_partner(file, "w") or _partner(file, "d"))


def _planes(ref: PlaneRef) -> MaskPlanes:
    """Read the version of the pipeline, which decides what the numbers mean."""
    word = ref.file.primary.text("PLVER") or ref.hdu.cards.text("PLVER")
    match = re.match(r"V?(\d+)\.(\d+)", word)
    if match is None:
        raise InputError(
            f"PLVER={word!r} does not tell whether {os.path.basename(ref.file.path)} holds bits or codes",
            code="dq_format",
            hint="use --profile plain with --mask and --weight",
        )
    return _CODES if (int(match[1]), int(match[2])) >= (3, 5) else _BITS


def _one(file: FitsFile, science: Hdu) -> Layout:
    layout = Layout("decam", science)
    weight, mask = _partner(file, "w"), _partner(file, "d")
    if weight:
        layout = replace(layout, noise=open_companion(file, weight, like=science), noise_kind="ivar")
    if mask:
        ref = open_companion(file, mask, like=science)
        layout = replace(layout, dq=ref, planes=_planes(ref))
    return layout


def _layouts(file: FitsFile) -> list[Layout]:
    if not file.images():
        raise InputError(f"no image HDU; {file.listing()}", code="no_image")
    return [_one(file, science) for science in file.images()]


PROFILE = Profile("decam", "triplet of _ooi_ image, _oow_ inverse variance, _ood_ mask", _detect, _layouts)
