"""Small FITS files of every layout, written by astropy, and a stand-in for a task that fills."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from astropy.io import fits

from gencosmo.image import Image
from gencosmo.result import Result

SHAPE = (40, 56)


def sky(shape=SHAPE, seed=0, dtype=np.float32, level=100.0, noise=5.0):
    """A noisy frame with one source."""
    rng = np.random.default_rng(seed)
    rows, cols = np.indices(shape[-2:])
    source = 400 * np.exp(-((rows - shape[-2] / 2) ** 2 + (cols - shape[-1] / 3) ** 2) / 8)
    values = level + source + rng.normal(0, noise, shape)
    if np.dtype(dtype).kind in "iu":
        return np.clip(np.rint(values), 0, np.iinfo(dtype).max).astype(dtype)
    return values.astype(dtype)


def holes(shape=SHAPE, seed=1, share=0.02):
    """A random mask with a dead column."""
    mask = np.random.default_rng(seed).random(shape) < share
    mask[..., 17] = True
    return mask


def sha(path) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def write(path, *hdus, **options) -> str:
    fits.HDUList(list(hdus)).writeto(path, overwrite=True, **options)
    return str(path)


def sip_header() -> fits.Header:
    """A WCS with SIP terms, a long string, a comment without value, and blanks between cards."""
    header = fits.Header()
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN-SIP", "DEC--TAN-SIP"
    header["CRVAL1"], header["CRVAL2"], header["CRPIX1"], header["CRPIX2"] = 150.1, 2.2, 20.5, 28.0
    header["CD1_1"], header["CD1_2"], header["CD2_1"], header["CD2_2"] = -7e-5, 1e-6, 1e-6, 7e-5
    header["A_ORDER"], header["B_ORDER"], header["A_2_0"], header["B_0_2"] = 2, 2, 1.5e-6, -2.5e-6
    header["BUNIT"] = "electron/s"
    header["LONGTEXT"] = "x" * 150
    header["HIERARCH ESO DET ID"] = "abc"
    header["DATE-OBS"] = "2020-01-01T00:00:00"
    header.add_comment("kept")
    header.add_history("made by hand")
    return header


def plain_file(path, data=None, header=None, **options) -> str:
    return write(path, fits.PrimaryHDU(sky() if data is None else data, header=header), **options)


def damaged(path, seed=0) -> str:
    """A plain file with NaN in the holes."""
    data = sky(seed=seed)
    data[holes(seed=seed + 10)] = np.nan
    return plain_file(path, data)


def stsci_file(path, *, telescope="JWST", versions=1, compressed=False) -> str:
    """SCI, ERR (std), DQ (uint32) and a table, per EXTVER; DQ: DO_NOT_USE with causes on `holes`."""
    primary = fits.PrimaryHDU()
    primary.header["TELESCOP"] = telescope
    hdus = [primary]
    kind = fits.CompImageHDU if compressed else fits.ImageHDU
    for version in range(1, versions + 1):
        mask = holes(seed=version)
        dq = np.where(mask, 1 | 1 << 10, 0).astype(np.uint32)
        dq[0, :4] = 1 << 2  # JUMP_DET only: not to be filled
        options = {"compression_type": "GZIP_2", "quantize_level": 0} if compressed else {}
        science = kind(sky(seed=version), name="SCI", header=sip_header(), **options)
        science.header["EXTNAME"], science.header["EXTVER"] = "SCI", version
        error = fits.ImageHDU(np.full(SHAPE, 5, np.float32), name="ERR", ver=version)
        hdus += [fits.ImageHDU(dq, name="DQ", ver=version), science, error]
    table = fits.BinTableHDU.from_columns([fits.Column("x", "E", array=np.arange(5.0))], name="CAT")
    return write(path, *hdus, table)


def lsst_file(path, *, cards="v1") -> str:
    """IMAGE, MASK, VARIANCE; planes at unusual bits, one of them with a name of more than eight letters."""
    mask = np.zeros(SHAPE, np.int32)
    bits = {"BAD": 3, "SAT": 0, "INTRP": 7, "CR": 5, "DETECTED_NEGATIVE": 2}
    mask[5:8, 5:8] |= 1 << bits["CR"]
    mask[10, 10:20] |= 1 << bits["SAT"]
    mask[20:30, 20:30] |= 1 << bits["DETECTED_NEGATIVE"]
    hdu = fits.ImageHDU(mask, name="MASK")
    for number, (name, bit) in enumerate(bits.items()):
        if cards == "v1":
            key = f"MP_{name}"
            hdu.header[key if len(key) <= 8 else f"HIERARCH {key}"] = bit
        else:
            hdu.header[f"MSKN{number:04d}"], hdu.header[f"MSKM{number:04d}"] = name, 1 << bit
    image = fits.ImageHDU(sky(), name="IMAGE")
    variance = fits.ImageHDU(np.full(SHAPE, 25, np.float32), name="VARIANCE")
    return write(path, fits.PrimaryHDU(), image, hdu, variance)


def decam_files(folder, *, plver="V4.8.2a") -> str:
    """The three files of a triplet; in codes or bits as PLVER says."""
    new = plver >= "V3.5"
    mask = np.zeros(SHAPE, np.int32)
    mask[5:8, 5:8] = 5 if new else 16
    mask[10, 10:20] = 3 if new else 2
    mask[12, 10:20] = 7 if new else 128
    weight = np.where(mask == 0, 0.04, 0).astype(np.float32)
    for letter, data in (("i", sky()), ("w", weight), ("d", mask)):
        primary = fits.PrimaryHDU()
        primary.header["PLVER"] = plver
        write(folder / f"c4d_1_oo{letter}_z.fits", primary, fits.ImageHDU(data, name="N1"))
    return str(folder / "c4d_1_ooi_z.fits")


def fill(image: Image, value=123.25, spread=2.0) -> Result:
    """A stand-in for a task: a constant in the holes."""
    mask = image.mask
    mean = np.where(mask, np.float32(value), image.data)
    std = np.where(mask, np.float32(spread), np.float32(0))
    return Result(image.restore(mean), image.restore(std), filled=image.restore(mask), flags=image.restore(image.flags))
