"""From the name of a file with axes to its reader; each format is loaded when one of its files comes."""

from __future__ import annotations

from gencosmo.errors import UsageError
from gencosmo.io.registry import format_of
from gencosmo.io.stack import Stack

__all__ = ["open_stack"]


def open_stack(
    path: str, *, axes: str | None = None, image: str | int | None = None, limit: int, mask: bool = False
) -> Stack:
    """Open a file of any format with axes.

    Parameters
    ----------
    path : str
    axes : str, optional
        What the user says the stored axes are.
    image : str or int, optional
        Which image of the file: number of the TIFF series; path in a Zarr hierarchy.
    limit : int
        Largest number of pixels decoded at a time.
    mask : bool
        A mask: boolean values are accepted too.

    Raises
    ------
    InputError, UsageError
    """
    name = format_of(path).name
    if name == "fits":
        raise UsageError(f"{path} is a FITS file, expected TIFF, OME-Zarr, PNG or JPEG", code="format")
    if name == "tiff":
        from gencosmo.io.tiff import TiffStack

        return TiffStack(path, axes, image, limit, mask)
    if name == "zarr":
        from gencosmo.io.zarr import ZarrStack

        return ZarrStack(path, axes, image, limit, mask)
    if name == "picture":
        from gencosmo.io.picture import PictureStack

        return PictureStack(path, axes, limit)
    from gencosmo.io.bioio import BioStack

    return BioStack(path, axes, image, limit)
