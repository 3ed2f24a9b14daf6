"""Noise and uneven light of a stack: the law of each channel, the surface of each plane, measured once.

A law is read off a sample of a channel (whole planes where they are few and small, tiles spread over them where not),
a surface off a whole plane, thinned when it is large: a block of a plane then gets what the plane would get.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import GencosmoWarning, InputError
from gencosmo.image import Image
from gencosmo.io.axes import Plane, Section
from gencosmo.io.camera import Camera, law_words
from gencosmo.io.camera_words import camera_words
from gencosmo.io.stack import Stack
from gencosmo.io.stack_chosen import channel_labels
from gencosmo.photon import Illumination, PhotonNoise, fit_illumination, fit_law, with_noise

__all__ = ["CameraNoise", "Surfaces"]

Good = Callable[[NDArray[np.generic], Plane, Section], NDArray[np.bool_]]
"""Which of the stored values of a section are good."""

BUDGET = 1 << 22
"""Pixels that a law or a surface is fitted to."""
PLANES, TILE, SEAM = 4, 512, 3


class CameraNoise:
    """Gives images of a stack their `ivar`."""

    def __init__(self, stack: Stack, camera: Camera, planes: Sequence[Plane], good: Good) -> None:
        self._stack, self._planes, self._good = stack, planes, good
        self.camera = _told(stack, camera)
        self._laws: dict[int, PhotonNoise] = {}

    @property
    def channels(self) -> list[int]:
        """Those that are worked on."""
        return sorted({plane.c for plane in self._planes})

    def law(self, channel: int) -> PhotonNoise:
        """Return the law of a channel; estimated when it is first asked for.

        Raises
        ------
        InputError
            `no_noise`: too few good pixels, or none that scatter.
        """
        if channel not in self._laws:
            self._laws[channel] = self._find(channel)
        return self._laws[channel]

    def _find(self, channel: int) -> PhotonNoise:
        camera = self.camera
        if camera.gain is not None and camera.read_noise is not None:
            return PhotonNoise.of_camera(camera.gain, camera.read_noise, camera.offset or 0.0)
        values, good = self._sample(channel)
        name = f"channel {channel} {channel_labels(self._stack)[channel]}".rstrip()
        return fit_law(values, good, offset=camera.offset, name=name)

    def _sample(self, channel: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Pieces of the channel's planes below each other, their seams bad."""
        mine = [plane for plane in self._planes if plane.c == channel]
        mine = [mine[n] for n in _spread(len(mine), PLANES)]
        height, width = self._stack.axes.inside[3:]
        share = BUDGET // len(mine)
        sections = [(slice(0, height), slice(0, width))]
        if height * width > share:
            across = max(1, math.isqrt(share // TILE**2))
            starts = [_spread(max(1, size - TILE + 1), across) for size in (height, width)]
            sections = [
                (slice(row, min(height, row + TILE)), slice(col, min(width, col + TILE)))
                for row in starts[0]
                for col in starts[1]
            ]
        values, good = [], []
        for plane in mine:
            for section in sections:
                raw = self._stack.read(plane, section)
                seen = self._good(raw, plane, section)
                if len(mine) * len(sections) > 1:
                    seen[:SEAM], seen[-SEAM:] = False, False
                values.append(np.where(seen, raw, 0).astype(np.float32))
                good.append(seen)
        return np.concatenate(values), np.concatenate(good)

    def apply(self, image: Image, channel: int) -> Image:
        """Return the image with the inverse variance of its pixels, at a smooth first pass (`gencosmo.with_noise`)."""
        if self.camera.std is not None:
            ivar = np.where(image.mask, np.float32(0), np.float32(self.camera.std**-2))
            told = f"{self.camera.std:g} for every pixel"
            return image.replace(ivar=ivar, meta=dict(image.meta) | {"noise_source": told})
        law = self.law(channel)
        told = law_words(law.gain, law.read_noise, law.offset, self.camera.source)
        words = {"noise_source": told, "laws": (law,)}
        return with_noise(image.replace(meta=dict(image.meta) | words), law)


def _told(stack: Stack, camera: Camera) -> Camera:
    """What the options leave open, from the file."""
    if camera.std is not None or camera.source == "estimate":
        return camera
    gain, offset, read_noise = camera.gain, camera.offset, camera.read_noise
    if camera.source == "file":
        words = camera_words(stack)
        gain = words.get("gain") if gain is None else gain
        offset = words.get("offset") if offset is None else offset
        read_noise = words.get("read_noise") if read_noise is None else read_noise
    if gain is None or read_noise is None:
        missing = "gain" if gain is None else "read noise"
        more = "" if gain is None else f", only its gain, {gain:g} electrons per unit"
        hint = (
            "--noise estimate fits it to the image; --gain and --read-noise are in the camera's data sheet; "
            "--noise NUMBER is the standard deviation of every pixel"
        )
        raise InputError(
            f"{stack.path} does not say the {missing} of its camera{more}",
            code="no_noise",
            hint=hint if gain is None else "--read-noise is in the camera's data sheet, in electrons",
        )
    if offset is None:
        text = "no black level is known: 0 is taken, and an offset of the camera counts as light (see --offset)"
        warnings.warn(GencosmoWarning(text, code="offset"), stacklevel=3)
    return Camera(gain, offset, read_noise, source=camera.source)


class Surfaces:
    """Uneven light of the planes of a stack."""

    def __init__(self, stack: Stack, order: int, good: Good) -> None:
        self._stack, self._order, self._good = stack, order, good
        self._last: tuple[Plane, Illumination] | None = None

    def apply(self, image: Image, plane: Plane, section: Section) -> Image:
        """Return rows and columns of a plane with the plane's surface as background.

        Raises
        ------
        InputError
            `too_small`: too few good pixels for this order.
        """
        if self._last is None or self._last[0] != plane:
            self._last = (plane, self._fit(plane))
        rows, cols = (slice(*part.indices(n)) for part, n in zip(section, self._stack.axes.inside[3:], strict=True))
        return image.replace(background=self._last[1].at(rows, cols)[None])

    def _fit(self, plane: Plane) -> Illumination:
        height, width = self._stack.axes.inside[3:]
        step = math.isqrt(-(-height * width // BUDGET) - 1) + 1
        strip = step * max(1, BUDGET // (step * width))
        values, good = [], []
        for row in range(0, height, strip):
            section = (slice(row, min(height, row + strip)), slice(0, width))
            raw = self._stack.read(plane, section)
            good.append(self._good(raw, plane, section)[::step, ::step])
            values.append(np.where(good[-1], raw[::step, ::step], 0).astype(np.float32))
        whole, seen = np.concatenate(values), np.concatenate(good)
        return fit_illumination(whole, seen, order=self._order, step=step, size=(height, width))


def _spread(count: int, most: int) -> list[int]:
    """At most so many of the numbers below `count`, evenly spread."""
    if most == 1:
        return [(count - 1) // 2]
    return sorted({round(x) for x in np.linspace(0, count - 1, min(count, most))})
