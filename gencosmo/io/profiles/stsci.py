"""`stsci`: SCI + ERR (standard deviation) and/or DQ (bits), paired by EXTVER. JWST, HST, and others of that
form.

Bits of JWST: the table of `jwst.datamodels.dqflags`; there DO_NOT_USE alone says that a value must not be
used, all other bits tell why, so it alone asks for filling. Bits of HST: the ACS and WFC3 data handbooks. In
files of other telescopes every bit counts as bad, unless cards name the bits as in LSST's files.
"""

from __future__ import annotations

from gencosmo.io.hdus import FitsFile, Hdu
from gencosmo.io.layout import Layout, MaskPlanes, PlaneRef, Profile, mask_bits
from gencosmo.io.profiles.lsst_v1 import planes_from_cards
from gencosmo.io.profiles.lsst_v2 import planes_from_values

__all__ = ["PROFILE"]

_JWST = MaskPlanes(
    mask_bits(
        {
            "DO_NOT_USE": (1 << 0, ""),
            "SATURATED": (1 << 1, "SATURATED"),
            "JUMP_DET": (1 << 2, "COSMIC_RAY"),
            "DROPOUT": (1 << 3, "NO_DATA"),
            "OUTLIER": (1 << 4, "OUTLIER"),
            "PERSISTENCE": (1 << 5, "SUSPECT"),
            "AD_FLOOR": (1 << 6, "BAD"),
            "CHARGELOSS": (1 << 7, "SUSPECT"),
            "NON_SCIENCE": (1 << 9, "REFERENCE"),
            "DEAD": (1 << 10, "DEAD"),
            "HOT": (1 << 11, "HOT"),
            "WARM": (1 << 12, "SUSPECT"),
            "LOW_QE": (1 << 13, "SUSPECT"),
            "TELEGRAPH": (1 << 15, "SUSPECT"),
            "FLUX_ESTIMATED": (1 << 28, "INTERPOLATED"),
            "OTHER_BAD_PIXEL": (1 << 30, "BAD"),
            "REFERENCE_PIXEL": (1 << 31, "REFERENCE"),
        }
    ),
    frozenset({"DO_NOT_USE"}),
    estimated=1 << 28,
    do_not_use=1 << 0,
)

_HST = MaskPlanes(
    mask_bits(
        {
            "LOST": (1, "NO_DATA"),
            "FILLED": (2, "NO_DATA"),
            "BADPIX": (4, "BAD"),
            "MASKED": (8, ""),
            "HOT": (16, "HOT"),
            "UNSTABLE": (32, "SUSPECT"),
            "WARM": (64, "SUSPECT"),
            "BADCOL": (128, "BAD"),
            "SATURATED": (256, "SATURATED"),
            "BADFLAT": (512, "SUSPECT"),
            "TRAP": (1024, "SUSPECT"),
            "ATODSAT": (2048, "SATURATED"),
            "CRDRIZ": (4096, "COSMIC_RAY"),
            "CRREJ": (8192, "COSMIC_RAY"),
            "GHOST": (16384, "SUSPECT"),
        }
    ),
    frozenset({"LOST", "FILLED", "BADPIX", "HOT", "BADCOL", "SATURATED", "ATODSAT", "CRDRIZ", "CRREJ"}),
)

_ANY = MaskPlanes((), frozenset(), unnamed=True)


def _detect(file: FitsFile) -> bool:
    return file.find("SCI") is not None and file.find("ERR", "VAR", "DQ") is not None


def _planes(file: FitsFile, dq: Hdu) -> MaskPlanes:
    named = planes_from_values(dq.cards) or planes_from_cards(dq.cards)
    if named is not None:
        return named
    telescope = (file.primary.text("TELESCOP") or dq.cards.text("TELESCOP")).upper()
    if telescope == "JWST":
        return _JWST
    if telescope == "HST" and file.primary.text("INSTRUME").upper() in ("ACS", "WFC3"):
        return _HST
    return _ANY


def _layouts(file: FitsFile) -> list[Layout]:
    found = []
    for science in file.images():
        if science.name.upper() != "SCI":
            continue
        noise = file.find("ERR", "VAR", version=science.version)
        dq = file.find("DQ", version=science.version)
        parts = [file.find(f"VAR_{cause}", version=science.version) for cause in ("POISSON", "RNOISE", "FLAT")]
        found.append(
            Layout(
                "stsci",
                science,
                PlaneRef(file, noise) if noise else None,
                "variance" if noise and noise.name.upper() == "VAR" else "std",
                PlaneRef(file, dq) if dq else None,
                _planes(file, dq) if dq else None,
                parts=tuple(PlaneRef(file, part) for part in parts if part),
            )
        )
    return found


PROFILE = Profile("stsci", "SCI + ERR (standard deviation) or VAR + DQ (bits), by EXTVER", _detect, _layouts)
