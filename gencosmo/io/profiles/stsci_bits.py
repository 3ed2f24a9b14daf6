"""What the bits of a DQ plane mean, by telescope and camera, for the profile `stsci`.

JWST: `pixel` of `stdatamodels/jwst/datamodels/dqflags.py` (spacetelescope/stdatamodels, August 2026). There DO_NOT_USE
alone says that a value must not be used, all other bits tell why, so it alone asks for filling. Bit 28 was
UNRELIABLE_RESET before it became FLUX_ESTIMATED.

HST: `acsdq.h`, `wf3dq.h` and `stisdq.h` of the calibration pipelines (spacetelescope/hstcal, June 2026), the tables
`dqflags_acs.txt` and `dqflags_wfc3.txt` (spacetelescope/stginga), and the DQ pages of ACS and WFC3 at stsci.edu. In
WFC3/IR the same bits have other meanings: the ramp fit already left out the reads that bits 1024 and 8192 tell of, and
2048 says that the zero read held signal, so the values there are good. The bits of a pixel that is only unstable, warm
or of uncertain calibration are told and not filled.
"""

from __future__ import annotations

from gencosmo.io.layout import MaskPlanes, mask_bits

__all__ = ["ANY", "CCD", "JWST", "STIS", "WFC3_IR", "hst_planes"]

JWST = MaskPlanes(
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
            "RC": (1 << 14, "BAD"),
            "TELEGRAPH": (1 << 15, "SUSPECT"),
            "NONLINEAR": (1 << 16, "SUSPECT"),
            "BAD_REF_PIXEL": (1 << 17, ""),
            "NO_FLAT_FIELD": (1 << 18, "SUSPECT"),
            "NO_GAIN_VALUE": (1 << 19, "SUSPECT"),
            "NO_LIN_CORR": (1 << 20, "SUSPECT"),
            "NO_SAT_CHECK": (1 << 21, "SUSPECT"),
            "UNRELIABLE_BIAS": (1 << 22, "SUSPECT"),
            "UNRELIABLE_DARK": (1 << 23, "SUSPECT"),
            "UNRELIABLE_SLOPE": (1 << 24, "SUSPECT"),
            "UNRELIABLE_FLAT": (1 << 25, "SUSPECT"),
            "OPEN": (1 << 26, "BAD"),
            "ADJ_OPEN": (1 << 27, "SUSPECT"),
            "FLUX_ESTIMATED": (1 << 28, "INTERPOLATED"),
            "MSA_FAILED_OPEN": (1 << 29, "SUSPECT"),
            "OTHER_BAD_PIXEL": (1 << 30, "BAD"),
            "REFERENCE_PIXEL": (1 << 31, "REFERENCE"),
        }
    ),
    frozenset({"DO_NOT_USE"}),
    estimated=1 << 28,
    do_not_use=1 << 0,
)

_COMMON = {
    "LOST": (1, "NO_DATA"),
    "FILLED": (2, "NO_DATA"),
    "BADPIX": (4, "BAD"),
    "HOT": (16, "HOT"),
    "SATURATED": (256, "SATURATED"),
    "BADREF": (512, "SUSPECT"),
}
_COMMON_FILL = {"LOST", "FILLED", "BADPIX", "HOT", "SATURATED"}

CCD = MaskPlanes(
    mask_bits(
        _COMMON
        | {
            "MASKED": (8, ""),
            "UNSTABLE": (32, "SUSPECT"),
            "WARM": (64, "SUSPECT"),
            "BADCOL": (128, "BAD"),
            "TRAP": (1024, "SUSPECT"),
            "ATODSAT": (2048, "SATURATED"),
            "CRDRIZ": (4096, "COSMIC_RAY"),
            "CRREJ": (8192, "COSMIC_RAY"),
            "GHOST": (16384, "SUSPECT"),
        }
    ),
    frozenset(_COMMON_FILL | {"BADCOL", "ATODSAT", "CRDRIZ", "CRREJ"}),
)

WFC3_IR = MaskPlanes(
    mask_bits(
        _COMMON
        | {
            "BADZERO": (8, "BAD"),
            "UNSTABLE": (32, "SUSPECT"),
            "WARM": (64, "SUSPECT"),
            "BADBIAS": (128, "BAD"),
            "SPIKE": (1024, ""),
            "ZEROSIG": (2048, ""),
            "CRDRIZ": (4096, "COSMIC_RAY"),
            "CRREJ": (8192, ""),
            "HIGH_CURVATURE": (16384, "SUSPECT"),
        }
    ),
    frozenset(_COMMON_FILL | {"BADZERO", "BADBIAS", "CRDRIZ"}),
)

STIS = MaskPlanes(
    mask_bits(
        _COMMON
        | {
            "MASKED": (8, ""),
            "LARGEBLEM": (32, "SUSPECT"),
            "OVERSCAN": (128, "REFERENCE"),
            "SMALLBLEM": (1024, "SUSPECT"),
            "CRREJ": (8192, "COSMIC_RAY"),
            "NOT_CTI_CORR": (16384, ""),
        }
    ),
    frozenset(_COMMON_FILL | {"CRREJ"}),
)

ANY = MaskPlanes((), frozenset(), unnamed=True)
"""Of other telescopes: every bit counts as bad."""


def hst_planes(instrument: str, detector: str) -> MaskPlanes:
    """Return the planes of a camera of HST; those of an unknown one all count as bad."""
    if instrument == "WFC3" and detector == "IR":
        return WFC3_IR
    return {"ACS": CCD, "WFC3": CCD, "STIS": STIS}.get(instrument, ANY)
