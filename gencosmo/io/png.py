"""PNG files of pictures: the ending is checked before any work, and a file appears whole or not at all."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import UsageError
from gencosmo.io.atomic import write_atomic

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["check_png", "write_png"]


def check_png(path: str) -> None:
    """Raise a UsageError for an ending other than `.png`."""
    if not path.lower().endswith(".png"):
        raise UsageError(f"picture {path} must end in .png")


def write_png(picture: Image | NDArray[np.uint8], path: str, *, overwrite: bool) -> None:
    """Write a Pillow image, or bytes of shape (rows, columns) or (rows, columns, 3).

    Raises
    ------
    UsageError
        `exists`: the file is there and `overwrite` is False.
    """
    if isinstance(picture, np.ndarray):
        from PIL import Image as Canvas

        picture = Canvas.fromarray(picture)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    write_atomic(path, [buffer.getvalue()], overwrite=overwrite)
