"""Everything else that bioio reads (CZI, LIF, ND2, ...), through its own plugins; the extra `bioio`."""

from __future__ import annotations

import os
from datetime import timedelta
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import FormatError, InputError, UsageError
from gencosmo.io.axes import LETTERS, Axes, Plane, Section, parse_axes
from gencosmo.io.stack import Details, Stack, check_dtype, in_seconds, size_in_um

__all__ = ["PLUGINS", "BioStack", "plugin_for"]

PLUGINS = {
    ".czi": "bioio-czi", ".dv": "bioio-dv", ".lif": "bioio-lif", ".nd2": "bioio-nd2", ".r3d": "bioio-dv",
    ".sldy": "bioio-sldy",
    ".ics": "bioio-bioformats", ".ims": "bioio-bioformats", ".oib": "bioio-bioformats", ".oif": "bioio-bioformats",
    ".oir": "bioio-bioformats", ".vsi": "bioio-bioformats", ".zvi": "bioio-bioformats",
}  # fmt: skip
"""The package that makes bioio read files with such an ending; bioio-bioformats needs Java."""


class BioStack(Stack):
    """An image that bioio opened; see `gencosmo.io.stack.Stack`. `image` is a scene by number or name."""

    kind = "bioio"

    def __init__(self, path: str, axes: str | None, image: str | int | None, limit: int) -> None:
        self.path, self.limit = os.fspath(path), limit
        opened = _open(self.path)
        reader = opened.reader
        try:
            self._choose(reader, image)
            if hasattr(reader, "chunk_dims"):
                # Some plugins take all depths for one plane.
                reader.chunk_dims = ["Y", "X", "S"]
            array = _mosaic(reader)
            letters = "".join(str(name) if len(str(name)) == 1 else "Q" for name in array.dims)
            self._lazy = array.data
        except InputError:
            raise
        except Exception as error:  # of each plugin's own kinds
            raise _unread(self.path, error) from None
        self.dtype = check_dtype(self._lazy.dtype, self.path)
        self._check_letters(letters, self._lazy.shape, axes)
        self.axes: Axes = parse_axes(letters, self._lazy.shape, asked=axes, where=self.path)
        self._squeezed = self._lazy.reshape(self.axes.shape)
        self.details = self._told(reader, image)

    def _choose(self, reader: Any, image: str | int | None) -> None:
        """Go to the scene that was asked for; the first is there already."""
        if image in (None, "all"):
            return
        scenes = [str(name) for name in reader.scenes]
        text = str(image)
        number = scenes.index(text) if text in scenes else int(text) if text.isdigit() else -1
        if not 0 <= number < len(scenes):
            raise InputError(
                f"{self.path} has no scene {text!r}, it has {len(scenes)}: {_listed(scenes)}",
                code="hdu_not_found",
                hint="--hdu takes the number of a scene, from 0, or its name",
            )
        if number != reader.current_scene_index:
            reader.set_scene(number)

    def _check_letters(self, letters: str, shape: tuple[int, ...], asked: str | None) -> None:
        others = [f"{a} {n}" for a, n in zip(letters, shape, strict=True) if a not in LETTERS and n != 1]
        if asked is None and others:
            raise InputError(
                f"{self.path} has axes beyond {LETTERS}: {', '.join(others)}; all of them are "
                f"{letters}, {'x'.join(map(str, shape))}",
                code="axes",
                hint=f"say with --axes what they are in this order, with letters of {LETTERS}",
            )

    def _told(self, reader: Any, image: str | int | None) -> Details:
        sizes: dict[str, float | None] = {}
        doubts: tuple[tuple[str, str], ...] = ()
        for axis in "XYZ":
            value = getattr(reader.physical_pixel_sizes, axis)
            sizes[axis.lower()], more = size_in_um(value, None, axis)
            doubts += more
        scenes = [str(name) for name in reader.scenes]
        if image is None and len(scenes) > 1:
            text = f"{self.path} holds {len(scenes)} scenes, this is the first; --hdu takes another: {_listed(scenes)}"
            doubts += (("several_images", text),)
        return Details(
            x=sizes.get("x"),
            y=sizes.get("y"),
            z=sizes.get("z"),
            time_step=_seconds(reader),
            channel_names=tuple(map(str, reader.channel_names or ())),
            significant_bits=_bits(reader),
            name=str(reader.current_scene) if len(scenes) > 1 else "",
            doubts=doubts,
        )

    def close(self) -> None:
        """The reader closes its files itself."""

    def read(self, plane: Plane, section: Section | None = None) -> NDArray[Any]:
        """Return values of one plane; what is computed for it is bioio's affair."""
        try:
            found = self._squeezed[self.axes.index(plane, section or (slice(None), slice(None)))]
            array = np.asarray(found.compute())
        except Exception as error:  # plugins open files that they cannot decode
            raise _unread(self.path, error) from None
        return np.ascontiguousarray(array.T if self.axes.transposed else array).astype(self.dtype, copy=False)


def plugin_for(path: str) -> str | None:
    """Return the package that a file needs beside bioio, by the ending of its name; None for endings unknown here."""
    return PLUGINS.get(os.path.splitext(path)[1].lower())


def _open(path: str) -> Any:
    plugin = plugin_for(path)
    try:
        from bioio import BioImage
    except ImportError:
        raise UsageError(
            f"{path} needs the package bioio" + (f" and its plugin {plugin}" if plugin else ""),
            code="extra",
            hint=f"pip install 'gencosmo[bioio]'{f' {plugin}' if plugin else ''}",
        ) from None
    try:
        return BioImage(path)
    except Exception as error:  # of each plugin's own kinds
        if type(error).__name__ != "UnsupportedFileFormatError":
            raise _unread(path, error) from None
    if plugin is not None and find_spec(plugin.replace("-", "_")) is not None:
        raise FormatError(
            f"{path} cannot be read by {plugin}", code="not_readable", hint="re-transfer the file, it may end early"
        )
    raise FormatError(
        f"{path} is of no format that an installed plugin of bioio reads",
        code="not_readable",
        hint=f"pip install {plugin}" if plugin else "bioio's page lists its plugins, bioio-bioformats reads most",
    )


def _mosaic(reader: Any) -> Any:
    """Return the lazy array with names of its axes; tiles are put together where the plugin can."""
    if "M" in reader.dims.order:
        try:
            return reader.mosaic_xarray_dask_data
        except NotImplementedError:
            pass
    return reader.xarray_dask_data


def _seconds(reader: Any) -> float | None:
    """The time between frames; early releases of bioio and some plugins do not know it."""
    try:
        told = reader.time_interval
    except (AttributeError, NotImplementedError):
        return None
    return in_seconds(told.total_seconds() if isinstance(told, timedelta) else told, "s")


def _bits(reader: Any) -> int | None:
    """The significant bits of the camera, where the plugin has a description in the OME model."""
    try:
        bits = reader.ome_metadata.images[reader.current_scene_index].pixels.significant_bits
    except Exception:  # many plugins have none, and what they make of odd files raises anything
        return None
    return int(bits) if isinstance(bits, int) and bits > 0 else None


def _listed(scenes: list[str]) -> str:
    names = [f"{number} ({name})" for number, name in enumerate(scenes[:6])]
    return ", ".join(names) + (", ..." if len(scenes) > 6 else "")


def _unread(path: str, error: Exception) -> FormatError:
    return FormatError(
        f"{path} cannot be read by bioio: {str(error).splitlines()[0] if str(error) else type(error).__name__}",
        code="not_readable",
        hint="its plugin said so; files that end early, and kinds of scans that it does not know, look alike",
    )
