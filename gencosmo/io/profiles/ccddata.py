"""`ccddata`: what `astropy.nddata.CCDData.write` makes: PRIMARY, MASK (uint8, non-zero = bad), UNCERT with
UTYPE.
"""

from __future__ import annotations

from gencosmo.errors import InputError
from gencosmo.io.hdus import FitsFile
from gencosmo.io.layout import Layout, MaskPlanes, PlaneRef, Profile, mask_bits

__all__ = ["PROFILE"]

_KINDS = {
    "STDDEVUNCERTAINTY": "std",
    "STDDEV": "std",
    "VARIANCEUNCERTAINTY": "variance",
    "VARIANCE": "variance",
    "INVERSEVARIANCE": "ivar",
}

# CCDData turns every mask into bool before it writes, so whatever is non-zero is bad and nothing more is
# known.
_PLANES = MaskPlanes(mask_bits({"MASK": (1, "BAD")}), frozenset({"MASK"}), unnamed=True)


def _detect(file: FitsFile) -> bool:
    return file.hdus[0].is_image and (file.find("MASK") is not None or file.find("UNCERT") is not None)


def _layouts(file: FitsFile) -> list[Layout]:
    mask, uncert = file.find("MASK"), file.find("UNCERT")
    kind = "std"
    if uncert is not None:
        word = uncert.cards.text("UTYPE", "StdDev")
        if word.upper() not in _KINDS:
            raise InputError(
                f"UTYPE={word!r} of HDU UNCERT is not known",
                code="bad_noise",
                hint="expected StdDevUncertainty, VarianceUncertainty or InverseVariance",
            )
        kind = _KINDS[word.upper()]
    return [
        Layout(
            "ccddata",
            file.hdus[0],
            PlaneRef(file, uncert) if uncert else None,
            kind,
            PlaneRef(file, mask) if mask else None,
            _PLANES if mask else None,
        )
    ]


PROFILE = Profile("ccddata", "astropy CCDData: PRIMARY + MASK + UNCERT (UTYPE)", _detect, _layouts)
