"""Planes on a finer grid as a new OME-Zarr: the mean as its image, std, prior share and samples as images inside."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.io.axes import ORDER, Axes, Plane, Section
from gencosmo.io.levels import level_sizes
from gencosmo.io.ngff import VERSIONS, Step, attributes_of_image, multiscales, show_channels
from gencosmo.io.stack import Details
from gencosmo.io.zarr import zarr_package
from gencosmo.io.zarr_write import SAMPLES, create_array, remember, write_levels

__all__ = ["write_finer_zarr"]

Read = Callable[[Plane, Section], NDArray[Any]]


def write_finer_zarr(
    path: str,
    axes: Axes,
    layers: Mapping[str, Read],
    details: Details,
    steps: Mapping[str, Step],
    *,
    words: Mapping[str, str],
    version: str,
    drawn: int = 0,
    sample: Callable[[int, Plane, Section], NDArray[Any]] | None = None,
) -> None:
    """Write a new hierarchy.

    Parameters
    ----------
    path : str
        What is there is deleted.
    axes : Axes
        Of the finer image, without S; they are stored as TCZYX, those that there are.
    layers : mapping of str to callable
        ``(plane, section)`` to values (H, W), float32: `mean` becomes the image, another the image `gcm_NAME`.
    details : Details
        Names and colours of the channels.
    steps : mapping of str to Step
        Sizes, places and units of pixels by axis.
    words : mapping
        Provenance.
    version : str
        Of OME-Zarr.
    drawn : int
        Posterior samples, images `gcm_samples/0`, `1`, ...
    sample : callable, optional
        ``(number, plane, section)`` to values of one.
    """
    if os.path.isdir(path):
        shutil.rmtree(path)
    letters = "".join(letter for letter in ORDER if letter in axes.letters)
    height, width = axes.inside[3:]
    sizes = [(height, width), *level_sizes(height, width, 512)]
    shapes = [tuple({"Y": h, "X": w}.get(a, axes.size(a)) for a in letters) for h, w in sizes]
    planes = list(axes.planes())
    root = zarr_package().open_group(path, mode="w", zarr_format=VERSIONS[version])

    def image(group: Any, name: str, read: Read) -> list[Any]:
        entry = multiscales(letters, sizes, steps, version=version, name=name)
        group.attrs.update(attributes_of_image(entry, version))
        arrays = [create_array(group, str(n), one, np.float32, version, letters) for n, one in enumerate(shapes)]
        write_levels(arrays, sizes, letters, planes, read)
        return arrays

    smallest = image(root, details.name, layers["mean"])[-1]
    for name, read in layers.items():
        if name != "mean":
            image(root.create_group(f"gcm_{name}"), f"gcm_{name}", read)
    if drawn and sample is not None:
        shelf = root.create_group(SAMPLES)
        layout = {"bioformats2raw.layout": 3}
        shelf.attrs.update(layout if version == "0.4" else {"ome": {"version": version, **layout}})
        for number in range(drawn):
            image(shelf.create_group(str(number)), f"sample {number}", partial(sample, number))
    count = axes.size("C")
    if count in (len(details.channel_names), len(details.channel_colors)):
        middle = axes.size("Z") // 2
        at = [{"T": 0, "C": n, "Z": middle} for n in range(count)]
        show_channels(
            path,
            version,
            details,
            [np.asarray(smallest[tuple(one.get(a, slice(None)) for a in letters)]) for one in at],
        )
    remember(path, words)
