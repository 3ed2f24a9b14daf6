"""`gencosmo pack`: frames of files as planes of network flux in one file, for training."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np

from gencosmo.errors import GencosmoWarning
from gencosmo.io.atomic import check_output
from gencosmo.io.fits import ReadOptions, prepare, read_plane
from gencosmo.io.hdus import open_fits
from gencosmo.scaling import measure_scaling
from gencosmo.training.pack import MIN_SIDE, Frame, write_packed

__all__ = ["pack_files"]


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
    return write_packed(out, (frame for path in paths for frame in _frames(path, group)))


def _frames(path: str, group: str) -> Iterator[Frame]:
    options = ReadOptions()
    with warnings.catch_warnings(), open_fits(path) as file:
        warnings.simplefilter("ignore", GencosmoWarning)
        for layout in prepare(file, options):
            image = read_plane(file, layout, options)
            good = ~image.mask
            for channel in range(image.shape[0]):
                values, seen = image.data[channel], good[channel]
                if min(values.shape) < MIN_SIDE or seen.mean() < 0.5:
                    continue
                ivar = None if image.ivar is None else image.ivar[channel]
                flux = measure_scaling(values, seen, ivar).to_flux(values)
                yield Frame(np.where(seen, flux, np.nan).astype(np.float32), group)
