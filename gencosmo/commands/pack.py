"""`gencosmo pack`: frames of files as planes of network flux in one file, for training."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

from gencosmo.errors import FormatError, GencosmoWarning
from gencosmo.io import read
from gencosmo.io.atomic import check_output
from gencosmo.io.fits import ReadOptions, prepare, read_plane
from gencosmo.io.hdus import open_fits
from gencosmo.training.pack import Frame, frames_of_image, write_packed

__all__ = ["frames_of_file", "pack_files"]


def pack_files(paths: list[str], out: str, group: str) -> int:
    """Pack all science planes of the files; masked pixels become NaN. Returns the number of planes.

    Raises
    ------
    InputError
        A file cannot be read, or no plane is large enough.
    UsageError
        The output exists.
    """
    check_output(out, overwrite=False, inputs=paths)
    return write_packed(out, (frame for path in paths for frame, _ in frames_of_file(path, group)))


def frames_of_file(path: str, group: str) -> Iterator[tuple[Frame, float | None]]:
    """All usable science planes of a file with their pixel scale, where the file tells it.

    Raises
    ------
    InputError
        When the file cannot be read.
    """
    options = ReadOptions()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GencosmoWarning)
        try:
            file = open_fits(path)
        except FormatError:
            image = read(path)  # another format, or the same error again
            yield from ((frame, image.pixel_scale) for frame in frames_of_image(image, group))
            return
        with file:
            for layout in prepare(file, options):
                image = read_plane(file, layout, options)
                yield from ((frame, image.pixel_scale) for frame in frames_of_image(image, group))
