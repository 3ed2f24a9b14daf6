"""Planes on a finer grid, kept on disk until they are written as OME-TIFF: mean, and beside it std and prior share."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.io.axes import Axes, Plane, Section
from gencosmo.io.stack import Details, Stack
from gencosmo.io.stack_write import side_name
from gencosmo.io.storage import put_in_place, storage_errors
from gencosmo.io.tiff_new import write_ome
from gencosmo.io.tiff_samples import write_samples
from gencosmo.result import Result

__all__ = ["FinerStack", "write_finer_stack"]

LAYERS = ("mean", "std", "prior_share")
SAMPLES = "samples"


class FinerStack:
    """Results of `super_resolve` by plane; a context manager whose folder goes with it.

    Parameters
    ----------
    out : str
        The output.
    stack : Stack
        What was read.
    planes : sequence of Plane
        Those that are worked on; the output holds no others.
    scale : (int, int)
        Finer pixels per pixel, rows and columns.
    samples : bool
        Whether posterior samples are kept.
    """

    def __init__(
        self, out: str, stack: Stack, planes: Sequence[Plane], scale: tuple[int, int], *, samples: bool = False
    ) -> None:
        self.out, self._keep = os.path.abspath(out), samples
        self.drawn = 0
        self._chosen = [sorted({plane[axis] for plane in planes}) for axis in range(3)]
        sizes = dict(zip("TCZ", map(len, self._chosen), strict=True))
        sizes |= {"Y": stack.axes.size("Y") * scale[0], "X": stack.axes.size("X") * scale[1]}
        letters = "".join(a for a in stack.axes.letters if a in "TCZ" or (a == "S" and "C" not in stack.axes.letters))
        letters = letters.replace("S", "C") + "YX"
        self.axes = Axes(letters, tuple(sizes[letter] for letter in letters))
        self.details = _finer_details(stack.details, scale, self._chosen[1])
        self._layers: set[str] = set()

    def __enter__(self) -> FinerStack:
        place, name = os.path.split(self.out)
        with storage_errors(self.out):
            self._folder = tempfile.TemporaryDirectory(prefix=f".{name}.", suffix=".part", dir=place)
        self.folder = self._folder.name
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folder.cleanup()

    def put(self, plane: Plane, result: Result) -> None:
        """Keep the result of one plane."""
        for name in LAYERS:
            values = getattr(result, name, None)
            if values is not None:
                self._layers.add(name)
                with storage_errors(self.out):
                    np.save(self._path(name, plane), np.asarray(values, np.float32).reshape(self.axes.inside[3:]))
        if self._keep and result.samples is not None:
            draws = np.asarray(result.samples, np.float32).reshape(-1, *self.axes.inside[3:])
            self.drawn = len(draws)
            with storage_errors(self.out):
                np.save(self._path(SAMPLES, plane), draws)

    def sample(self, number: int, plane: Plane, section: Section) -> NDArray[Any]:
        """Return a posterior sample of a plane of the output."""
        values: NDArray[Any] = np.load(self._path(SAMPLES, self._own(plane)), mmap_mode="r")[(number, *section)]
        return values

    def _path(self, name: str, plane: Plane) -> str:
        return os.path.join(self.folder, f"{name}-{plane.t}-{plane.c}-{plane.z}.npy")

    @property
    def layers(self) -> list[str]:
        """What there is, the mean last."""
        return [name for name in reversed(LAYERS) if name in self._layers]

    def reader(self, name: str) -> Any:
        """Return ``(plane of the output, section)`` to values."""

        def read(plane: Plane, section: Section) -> NDArray[Any]:
            values: NDArray[Any] = np.load(self._path(name, self._own(plane)), mmap_mode="r")[section]
            return values

        return read

    def _own(self, plane: Plane) -> Plane:
        """The plane of the input behind one of the output."""
        return Plane(*(chosen[n] for chosen, n in zip(self._chosen, plane, strict=True)))


def _finer_details(details: Details, scale: tuple[int, int], channels: Sequence[int]) -> Details:
    names, colors = details.channel_names, details.channel_colors
    return replace(
        details,
        x=None if details.x is None else details.x / scale[1],
        y=None if details.y is None else details.y / scale[0],
        channel_names=tuple(names[c] for c in channels) if channels and max(channels) < len(names) else (),
        channel_colors=tuple(colors[c] for c in channels) if channels and max(channels) < len(colors) else (),
        significant_bits=None,
    )


def write_finer_stack(finer: FinerStack, words: Mapping[str, str], *, overwrite: bool) -> None:
    """Write what was kept: `out.ome.tif`, and beside it `out.std.ome.tif` and `out.prior_share.ome.tif`,
    and the samples where they were kept.

    Raises
    ------
    UsageError
        `exists`.
    StorageError
        Disk full, folder not writable.
    """
    parts = []
    with storage_errors(finer.out):
        for name in finer.layers:
            part = os.path.join(finer.folder, f"{name}.tif")
            own = "" if name == "mean" else name
            write_ome(part, finer.axes, np.float32, finer.reader(name), finer.details, words=words, name=own)
            parts.append((part, side_name(finer.out, own) if own else finer.out))
        if finer.drawn:
            part = os.path.join(finer.folder, "samples.tif")
            write_samples(part, finer.axes, finer.drawn, finer.sample, finer.details, words=words)
            parts.insert(0, (part, side_name(finer.out, SAMPLES)))
        put_in_place(parts, overwrite=overwrite)
