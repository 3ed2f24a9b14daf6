"""Noise of a FITS image from its camera, for files without a noise plane, or instead of it."""

from __future__ import annotations

import warnings

import numpy as np

from gencosmo.errors import GencosmoWarning, InputError
from gencosmo.image import Image
from gencosmo.io.camera import Camera, law_words
from gencosmo.io.noise import measured_noise
from gencosmo.photon import PhotonNoise, estimate_noise, with_noise

__all__ = ["with_camera"]

COUNTS = ("", "adu", "adus", "dn", "count", "counts", "ct", "cts")
ELECTRONS = ("electron", "electrons", "e-", "e")
DOUBTFUL = 1.4
"""Ratio of measured and told noise from which the law is doubted; structure adds to what is measured."""


def with_camera(image: Image, camera: Camera) -> Image:
    """Return the image with the inverse variance of its pixels that the camera gives it.

    Parameters
    ----------
    image : Image
        As it was read; what it knew of its noise is replaced.
    camera : Camera
        `source` "file": GAIN and RDNOISE of the header; "estimate": a law fitted to every plane.

    Raises
    ------
    InputError
        `no_noise`: the header does not say it, its unit is not one of counts, or the fit fails.
    """
    if camera.std is not None:
        ivar = np.where(image.mask, np.float32(0), np.float32(camera.std**-2))
        return image.replace(ivar=ivar, meta=dict(image.meta) | {"noise_source": f"{camera.std:g} for every pixel"})
    laws = estimate_noise(image, offset=camera.offset) if camera.source == "estimate" else _told(image, camera)
    words = {
        "noise_source": "; ".join(
            dict.fromkeys(law_words(law.gain, law.read_noise, law.offset, camera.source) for law in laws)
        ),
        "laws": tuple(laws),
    }
    known = with_noise(image.replace(meta=dict(image.meta) | words), laws)
    if camera.source != "estimate":
        _compare(known)
    return known


def _told(image: Image, camera: Camera) -> list[PhotonNoise]:
    """The law of the options, with what they leave open from the header."""
    gain, read_noise = camera.gain, camera.read_noise
    if camera.source == "file":
        gain = _gain(image) if gain is None else gain
        read_noise = image.read_noise if read_noise is None else read_noise
    if gain is None or read_noise is None:
        raise InputError(
            f"the header does not say the {'GAIN' if gain is None else 'RDNOISE'} of the camera",
            code="no_noise",
            hint="--gain (electrons per unit) and --read-noise (electrons); --noise estimate or NUMBER; or --ivar FILE",
        )
    if camera.offset is None:
        text = (
            "no --offset: the value 0 is taken for no light; where the sky was subtracted the offset is minus that sky"
        )
        warnings.warn(GencosmoWarning(text, code="offset"), stacklevel=4)
    return [PhotonNoise.of_camera(gain, read_noise, camera.offset or 0.0)] * image.shape[0]


def _gain(image: Image) -> float | None:
    """Electrons per unit of the image: 1 where it is in electrons, GAIN where it is in counts.

    Raises
    ------
    InputError
        `no_noise` in any other unit.
    """
    unit = (image.unit or "").strip().lower()
    if unit in ELECTRONS:
        return 1.0
    if unit in COUNTS:
        return image.gain
    raise InputError(
        f"GAIN of the header is of counts, and the unit of the image is {image.unit!r}",
        code="no_noise",
        hint="--gain: electrons per unit of the image; or --noise estimate, --noise NUMBER, --ivar FILE",
    )


def _compare(image: Image) -> None:
    """Say so when neighbouring pixels scatter otherwise than the law has it."""
    assert image.ivar is not None
    measured = measured_noise(image.data * np.sqrt(image.ivar), ~image.mask)
    if measured > DOUBTFUL or 0 < measured < 1 / DOUBTFUL:
        text = (
            f"neighbouring pixels scatter {measured:.2g} times as much as gain, read noise and offset say: "
            "--noise estimate fits them to the image"
        )
        warnings.warn(GencosmoWarning(text, code="noise_doubt"), stacklevel=4)
