"""The planes of a file of the image collections, as float32."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from astropy.io import fits

NOT_SCIENCE = ("unc", "var", "psf", "mask")
"""How the names of planes begin that belong to an image and are none."""


def planes(path: Path) -> Iterator[np.ndarray]:
    """All 2-D planes of a file's image HDUs (or of an npz file's `images`), as float32 with NaN = bad."""
    if path.suffix == ".npz":
        with np.load(path) as store:
            yield from np.asarray(store["images"], dtype=np.float32)
        return
    with warnings.catch_warnings(), fits.open(path, memmap=False) as hdus:
        warnings.simplefilter("ignore")
        for hdu in hdus:
            if hdu.name.lower().startswith(NOT_SCIENCE):
                continue
            if getattr(hdu, "is_image", False) and hdu.data is not None and hdu.data.ndim >= 2:
                yield from np.asarray(hdu.data, dtype=np.float32).reshape(-1, *hdu.data.shape[-2:])


def micro_planes(path: Path) -> Iterator[np.ndarray]:
    """Planes of a TIFF or PNG image as float32: colours apart, unless they are the same; stacks plane by plane."""
    if path.suffix.lower() in (".tif", ".tiff"):
        import tifffile

        with tifffile.TiffFile(path) as file:
            axes, data = file.series[0].axes, file.series[0].asarray()
    else:
        from skimage.io import imread

        data = imread(path)
        axes = "YXS"[: data.ndim]
    if "S" in axes:
        data = np.moveaxis(data, axes.index("S"), 0)[:3]
        if all(np.array_equal(data[0], colour) for colour in data[1:]):
            data = data[:1]
    yield from np.asarray(data, dtype=np.float32).reshape(-1, *data.shape[-2:])
