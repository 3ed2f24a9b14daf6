"""Options that only images with axes have: TIFF, OME-Zarr, PNG, JPEG."""

from __future__ import annotations

from dataclasses import dataclass

from gencosmo.io.camera import Camera
from gencosmo.io.fits import ReadOptions
from gencosmo.io.fits_write import WriteOptions

__all__ = ["Camera", "StackRead", "StackWrite"]


@dataclass(frozen=True)
class StackRead(ReadOptions):
    """How to understand a file with axes, besides `gencosmo.io.fits.ReadOptions`.

    `axes`: a letter of TCZYXS for each axis of the stored array, instead of what the file says. `channels`: only these,
    by number or name, are worked on; the others are copied. `saturation`: value from which a pixel is SATURATED.
    `times`, `depths`: only these t and z. `illumination`: order of the surface that is taken for uneven light and
    carried as background.
    """

    axes: str | None = None
    channels: tuple[int | str, ...] | None = None
    saturation: float | None = None
    times: tuple[int, ...] | None = None
    depths: tuple[int, ...] | None = None
    illumination: int | None = None

    def beyond_fits(self) -> str:
        """Return the names of the options that are set and mean nothing for FITS, for messages."""
        names = ("axes", "channels", "saturation", "times", "depths", "illumination")
        return ", ".join(name for name in names if getattr(self, name) is not None)


@dataclass(frozen=True)
class StackWrite(WriteOptions):
    """How to write a file with axes. `ngff`: version of OME-Zarr, 0.4 or 0.5; default: the input's, or 0.5."""

    ngff: str | None = None
