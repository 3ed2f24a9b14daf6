"""Everything else that bioio reads (CZI, LIF, ND2, ...), through its own plugins; the extra `bioio`."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import FormatError, UsageError
from gencosmo.io.axes import Axes, Plane, Section, parse_axes
from gencosmo.io.stack import Details, Stack, check_dtype, in_seconds, size_in_um

__all__ = ["BioStack"]


class BioStack(Stack):
    """An image that bioio opened; see `gencosmo.io.stack.Stack`. `image` is a scene by number or name."""

    kind = "bioio"

    def __init__(self, path: str, axes: str | None, image: str | int | None, limit: int) -> None:
        try:
            from bioio import BioImage
        except ImportError:
            raise UsageError(
                f"{path} needs the package bioio", code="extra", hint="pip install 'gencosmo[bioio]'"
            ) from None
        self.path, self.limit = os.fspath(path), limit
        try:
            self._image: Any = BioImage(self.path)
            if image not in (None, "all"):
                self._image.set_scene(int(image) if str(image).isdigit() else image)
            letters, self._lazy = str(self._image.dims.order), self._image.dask_data
        except Exception as error:  # of each plugin's own kinds
            raise FormatError(f"{self.path} cannot be read by bioio: {error}", code="not_readable") from None
        self.dtype = check_dtype(self._lazy.dtype, self.path)
        self.axes: Axes = parse_axes(letters, self._lazy.shape, asked=axes, where=self.path)
        self._squeezed = self._lazy.reshape(self.axes.shape)
        self.details = self._told()

    def _told(self) -> Details:
        sizes: dict[str, float | None] = {}
        doubts: tuple[tuple[str, str], ...] = ()
        for axis in "XYZ":
            value = getattr(self._image.physical_pixel_sizes, axis)
            sizes[axis.lower()], more = size_in_um(value, None, axis)
            doubts += more
        return Details(
            x=sizes.get("x"),
            y=sizes.get("y"),
            z=sizes.get("z"),
            time_step=self._seconds(),
            channel_names=tuple(map(str, self._image.channel_names or ())),
            doubts=doubts,
        )

    def _seconds(self) -> float | None:
        """The time between frames; early releases of bioio and some plugins do not know it."""
        try:
            told = self._image.time_interval
        except (AttributeError, NotImplementedError):
            return None
        return in_seconds(told.total_seconds() if isinstance(told, timedelta) else told, "s")

    def close(self) -> None:
        """The reader closes its files itself."""

    def read(self, plane: Plane, section: Section | None = None) -> NDArray[Any]:
        """Return values of one plane; what is computed for it is bioio's affair."""
        found = self._squeezed[self.axes.index(plane, section or (slice(None), slice(None)))]
        array = np.asarray(found.compute())
        return np.ascontiguousarray(array.T if self.axes.transposed else array).astype(self.dtype, copy=False)
