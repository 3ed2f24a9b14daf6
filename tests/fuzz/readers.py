"""What a fuzzer feeds: bytes as a header, as a FITS file, and as a gzip stream. Nothing but our own errors may come.

With atheris: `python -m tests.fuzz -max_total_time=60`.
"""

from __future__ import annotations

import io
import warnings
from functools import cache
from pathlib import Path

import numpy as np
from astropy.io import fits

from gencosmo.errors import GencosmoError
from gencosmo.io.cards import Cards
from gencosmo.io.fits import ReadOptions, prepare, read_fits, read_plane
from gencosmo.io.hdus import Limits, open_fits
from gencosmo.io.profiles.legacy import planes_from_bits
from gencosmo.io.profiles.lsst_v1 import planes_from_cards
from gencosmo.io.profiles.lsst_v2 import planes_from_values
from gencosmo.io.wcs import origin_of, pixel_scale, wcs_notes

LIMITS = Limits(pixels=1 << 16, unpacked=1 << 20)
SMALL = (9, 12)


def read_header(raw: bytes) -> None:
    """Everything that is read from cards alone."""
    cards = Cards(raw)
    for key in cards:
        cards.get(key)
    for reader in (pixel_scale, wcs_notes, origin_of, planes_from_cards, planes_from_values):
        reader(cards)
    planes_from_bits(cards, "R")
    assert Cards(cards.raw()).raw() == cards.raw()


def read_file(raw: bytes, folder: Path) -> bool:
    """Read the bytes as a file; True when they hold an image."""
    path = folder / "fuzzed.fits"
    path.write_bytes(raw)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = read_fits(str(path), ReadOptions(limits=LIMITS))
            if image.shape[0] > 1:
                with open_fits(str(path), LIMITS) as file:
                    for layout in prepare(file, ReadOptions(limits=LIMITS))[:4]:
                        read_plane(file, layout, ReadOptions(limits=LIMITS))
    except GencosmoError as error:
        told = error
    else:
        assert np.isfinite(image.data).all()
        return True
    assert told.code
    assert told.message
    return False


def _filled(where: np.ndarray) -> fits.ImageHDU:
    """What an earlier run leaves."""
    hdu = fits.ImageHDU(where.astype(np.uint8), name="GCM_FILL")
    hdu.header["GCMOF"], hdu.header["GCMOFV"] = "PRIMARY", 1
    return hdu


@cache
def seeds() -> list[bytes]:
    """Small files of several layouts, to begin from."""
    rng = np.random.default_rng(0)
    data = rng.normal(100, 5, SMALL).astype(np.float32)
    mask = fits.ImageHDU((data > 105).astype(np.int32), name="MASK")
    mask.header["MP_CR"], mask.header["MSKN0000"], mask.header["MSKM0000"] = 0, "CR", 1
    names = {"IMAGE": data, "VARIANCE": data**2}
    lists = [
        [fits.PrimaryHDU(data)],
        [fits.PrimaryHDU(data.astype(np.int16))],
        [fits.PrimaryHDU(), *(fits.ImageHDU(plane, name=name) for name, plane in names.items()), mask],
        [fits.PrimaryHDU(), fits.CompImageHDU(data, compression_type="RICE_1")],
        [fits.PrimaryHDU(), fits.CompImageHDU(data, compression_type="GZIP_2", quantize_level=0)],
        [fits.PrimaryHDU(), fits.ImageHDU(data, name="SCI"), fits.ImageHDU(data.astype("u2"), name="DQ")],
        [fits.PrimaryHDU(np.stack([data, data])), _filled(np.stack([data, data]) > 105)],
        [fits.PrimaryHDU(), fits.CompImageHDU(np.stack([data, data]), compression_type="RICE_1", name="SCI")],
    ]
    made = []
    for hdus in lists:
        target = io.BytesIO()
        fits.HDUList(hdus).writeto(target)
        made.append(target.getvalue())
    return made
