"""The table of file layouts; the first row that recognises a file is used.

To add a survey: write `profiles/<name>.py` with a `PROFILE`, and add its row here, special before general.
"""

from __future__ import annotations

from gencosmo.errors import UsageError
from gencosmo.flags import names_of
from gencosmo.io.hdus import FitsFile
from gencosmo.io.layout import Layout, MaskPlanes, Profile
from gencosmo.io.profiles import (
    ccddata,
    decam,
    desdm,
    legacy,
    lsst_v1,
    lsst_v2,
    plain,
    sdss_ivar,
    stsci,
    stsci_bits,
    weight,
)

__all__ = ["PROFILES", "bits_table", "find_profile", "layouts_of"]

PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        lsst_v2.PROFILE,
        lsst_v1.PROFILE,
        desdm.PROFILE,
        decam.PROFILE,
        decam.BITS,
        decam.CODES,
        stsci.PROFILE,
        legacy.PROFILE,
        sdss_ivar.PROFILE,
        ccddata.PROFILE,
        weight.PROFILE,
        plain.PROFILE,
    )
}


MASKS: dict[str, MaskPlanes] = {
    "JWST": stsci_bits.JWST,
    "HST ACS, WFC3/UVIS": stsci_bits.CCD,
    "HST WFC3/IR": stsci_bits.WFC3_IR,
    "HST STIS": stsci_bits.STIS,
    "DES": desdm.PLANES,
    "DECam before PLVER V3.5.0": decam.BIT_PLANES,
    "DECam since V3.5.0, Mosaic3, 90prime (codes)": decam.CODE_PLANES,
}
"""Mask planes that are not named in the files themselves, by survey."""


def bits_table() -> str:
    """Return the rows of a Markdown table with all mask planes of `MASKS` and our flags for them."""
    lines = []
    for survey, planes in MASKS.items():
        cells: dict[bool, list[str]] = {True: [], False: []}
        for row in sorted(planes.rows, key=lambda row: row.value):
            flags = " ".join(names_of(row.flags))
            cells[row.name in planes.selected].append(f"{row.value} {row.name}" + (f": {flags}" if flags else ""))
        lines.append(f"| {survey} | {'; '.join(cells[True])} | {'; '.join(cells[False])} |\n")
    return "".join(lines)


def find_profile(file: FitsFile, name: str = "auto") -> Profile:
    """Return the profile that the user named, or the first that recognises the file.

    Raises
    ------
    UsageError
        When the name is not in the table.
    """
    if name != "auto":
        if name not in PROFILES:
            raise UsageError(f"no profile {name!r}", code="profile", hint=f"profiles: auto, {', '.join(PROFILES)}")
        return PROFILES[name]
    return next(profile for profile in PROFILES.values() if profile.detect(file))


def layouts_of(file: FitsFile, *, profile: str = "auto", hdu: str | int | None = None) -> list[Layout]:
    """Return the science images of a file with their planes; only one of them when `hdu` is given.

    Raises
    ------
    InputError
        `no_image`, `hdu_not_found`, or what the profile misses.
    """
    found = find_profile(file, profile)
    if hdu is None:
        return found.layouts(file)
    if str(hdu).lower() == "all":
        return plain.all_images(file)
    wanted = file.select(hdu)
    known = [layout for layout in found.layouts(file) if layout.science is wanted]
    return known or [Layout("plain", wanted)]
