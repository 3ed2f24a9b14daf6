"""Options that only images with axes have: TIFF, OME-Zarr, PNG, JPEG."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from gencosmo.errors import UsageError
from gencosmo.io.fits import ReadOptions
from gencosmo.io.fits_write import WriteOptions

__all__ = ["Camera", "StackRead", "StackWrite"]


@dataclass(frozen=True)
class Camera:
    """What is known of the noise of every pixel without a noise image.

    `gain` in electrons per unit, `read_noise` in electrons, `offset` (black level) in units; what is None is taken from
    where `source` says: nowhere ("told"), the file's metadata ("file"), or a fit to the image ("estimate", of which
    only `offset` can be told). `std`: the same noise for every pixel instead, in units.

    Raises
    ------
    UsageError
        `bad_noise`.
    """

    gain: float | None = None
    offset: float | None = None
    read_noise: float | None = None
    std: float | None = None
    source: Literal["told", "file", "estimate"] = "told"

    def __post_init__(self) -> None:
        for name, least in (("gain", 0.0), ("std", 0.0), ("read_noise", -1e-300), ("offset", -math.inf)):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > least):
                unit = {"gain": "electrons per unit, above 0", "std": "a standard deviation above 0"}
                expected = unit.get(name, "electrons" if name == "read_noise" else "a level in units of the image")
                raise UsageError(f"{name.replace('_', ' ')} is {value:g}, expected {expected}", code="bad_noise")
        law = (self.gain, self.read_noise)
        if self.std is not None and (law != (None, None) or self.offset is not None or self.source != "told"):
            raise UsageError("a standard deviation and a camera's law are both given", code="bad_noise")
        if self.source == "estimate" and law != (None, None):
            raise UsageError(
                "noise is to be estimated, and gain or read noise is given", code="bad_noise", hint="leave one out"
            )
        if self.source == "told" and self.std is None and None in law:
            raise UsageError(
                "gain and read noise belong together",
                code="bad_noise",
                hint="a data sheet names both; --noise file or --noise estimate finds them",
            )

    def __str__(self) -> str:
        names = ("gain", "offset", "read_noise", "std")
        told = [f"{name} {getattr(self, name):g}" for name in names if getattr(self, name) is not None]
        return ", ".join([self.source, *told])


@dataclass(frozen=True)
class StackRead(ReadOptions):
    """How to understand a file with axes, besides `gencosmo.io.fits.ReadOptions`.

    `axes`: a letter of TCZYXS for each axis of the stored array, instead of what the file says. `channels`: only these
    are worked on; the others are copied. `saturation`: value from which a pixel is SATURATED. `times`, `depths`:
    only these t and z. `camera`: the noise of every pixel. `illumination`: order of the surface that is taken for
    uneven light and carried as background.
    """

    axes: str | None = None
    channels: tuple[int, ...] | None = None
    saturation: float | None = None
    times: tuple[int, ...] | None = None
    depths: tuple[int, ...] | None = None
    camera: Camera | None = None
    illumination: int | None = None

    def words(self) -> str:
        """Return the names of the options that are set, for messages."""
        names = ("axes", "channels", "saturation", "times", "depths", "camera", "illumination")
        return ", ".join(name for name in names if getattr(self, name) is not None)


@dataclass(frozen=True)
class StackWrite(WriteOptions):
    """How to write a file with axes. `ngff`: version of OME-Zarr, 0.4 or 0.5; default: the input's, or 0.5."""

    ngff: str | None = None
