"""An `Image` or the `Result` of a task to TIFF or OME-Zarr, alone or in place of what was read from a file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import InputError, UsageError
from gencosmo.image import Image
from gencosmo.io.axes import Axes, Plane, Section
from gencosmo.io.blocks import Block
from gencosmo.io.filled import only_fills
from gencosmo.io.fits_write import WriteOptions
from gencosmo.io.painted import Output
from gencosmo.io.registry import named_format
from gencosmo.io.repairs import Repairs
from gencosmo.io.stack import Details, Stack
from gencosmo.io.stack_image import StackReader
from gencosmo.io.stack_open import open_stack
from gencosmo.io.stack_options import StackRead
from gencosmo.io.stack_write import side_name, write_output
from gencosmo.io.storage import check_place, put_in_place, storage_errors
from gencosmo.result import Result

__all__ = ["ArrayStack", "write"]


class ArrayStack(Stack):
    """Planes in memory, (C, H, W); see `gencosmo.io.stack.Stack`."""

    kind = "array"

    def __init__(self, array: NDArray[Any], details: Details) -> None:
        self.path, self.limit = "array", array.size
        self._array, self.details = array, details
        self.dtype = array.dtype
        self.axes = Axes("YX", array.shape[1:]) if array.shape[0] == 1 else Axes("CYX", array.shape)

    def close(self) -> None:
        """Nothing is open."""

    def read(self, plane: Plane, section: Section | None = None) -> NDArray[Any]:
        """Return values of one channel."""
        return self._array[(plane.c, *(section or (slice(None), slice(None))))]


def write(path: str, content: Image | Result, *, like: str | None, image: Image | None, overwrite: bool) -> None:
    """Write an Image or a Result; see `gencosmo.io.write`.

    Noise, flags, std and the like of an array are files beside a TIFF (`a.std.ome.tif`), and images inside an OME-Zarr.
    """
    row = named_format(path)
    if row is None or row.name == "picture":
        raise UsageError(f"{path}: pictures are not written", code="format", hint="name it .ome.tif or .ome.zarr")
    check_place(path, overwrite=overwrite, inputs=[] if like is None else [like])
    if isinstance(content, Image):
        if like is not None:
            raise UsageError("like= goes with a Result: an Image has no filled pixels to put into a file")
        extra = {"ivar": content.ivar, "flags": content.flags}
        _write_arrays(path, content.data, extra, Details(x=content.pixel_scale, y=content.pixel_scale), overwrite)
        return
    if like is None:
        _write_arrays(path, _planes(content.mean), _extras(content), Details(), overwrite)
        return
    with open_stack(like, limit=1 << 40) as stack:
        planes = _read_planes(stack, image)
        shape = (len(planes), *stack.axes.inside[3:])
        if content.mean.size == int(np.prod(shape)) and only_fills(content):
            _write_filled(path, content, stack, planes, image, overwrite)
        else:
            _write_other(path, content, stack, planes, overwrite)


def _planes(array: NDArray[Any]) -> NDArray[Any]:
    return array if array.ndim == 3 else array[None]


def _extras(result: Result) -> dict[str, NDArray[Any] | None]:
    fill = None if result.filled is None else result.filled.astype(np.uint8)
    return {"std": result.std, "fill": fill, "flags": result.flags, "anomaly": result.anomaly_map}


def _read_planes(stack: Stack, image: Image | None) -> list[Plane]:
    told = None if image is None else image.meta.get("planes_read")
    return [Plane(*one) for one in told] if told else StackReader(stack, StackRead()).planes


@contextmanager
def _work_folder(path: str) -> Iterator[str]:
    place, name = os.path.split(os.path.abspath(path))
    with storage_errors(path), tempfile.TemporaryDirectory(prefix=f".{name}.", suffix=".part", dir=place) as folder:
        yield folder


def _write_filled(
    path: str, result: Result, stack: Stack, planes: list[Plane], image: Image | None, overwrite: bool
) -> None:
    """Copy the file of the stack and change the filled pixels."""
    height, width = stack.axes.inside[3:]
    everything = (slice(0, height), slice(0, width))
    block = Block(0, everything, everything)
    seen = image if image is not None else Image(data=_planes(result.mean))
    with _work_folder(path) as folder:
        samples = result.samples is not None
        repairs = Repairs(folder, width, [block], samples=samples)
        options = WriteOptions(overwrite=overwrite, samples=samples)
        output = Output(os.path.abspath(path), options, stack, planes, repairs)
        known = result.provenance
        output.remember({"GCMMODEL": str(known.get("prior", "")), "GCMSEED": str(known.get("seed", ""))})
        for number, plane in enumerate(planes):
            own = seen.replace(
                data=seen.data[number : number + 1],
                flags=None if seen.flags is None else seen.flags[number : number + 1],
                ivar=None,
                planar=False,
            )
            repairs.put(plane, block, own, _channel(result, number))
        write_output(output)


def _channel(result: Result, number: int) -> Result:
    def one(array: NDArray[Any] | None) -> Any:
        return None if array is None else _planes(array)[number : number + 1]

    return replace(
        result, mean=one(result.mean), std=one(result.std), filled=one(result.filled), flags=one(result.flags),
        samples=None if result.samples is None else _draws(result.samples)[:, number : number + 1],
    )  # fmt: skip


def _draws(samples: NDArray[Any]) -> NDArray[Any]:
    """As (S, C, H, W)."""
    return samples if samples.ndim == 4 else samples[:, None]


def _write_other(path: str, result: Result, stack: Stack, planes: list[Plane], overwrite: bool) -> None:
    """A new image with the names and sizes of the stack: every pixel is an estimate, or there are more of them."""
    height, width = stack.axes.inside[3:]
    mean = _planes(result.mean)
    if mean.shape[0] != len(planes):
        raise InputError(f"result has {mean.shape[0]} channels, {stack.path} {len(planes)}", code="shape_mismatch")
    down, right = mean.shape[1] / height, mean.shape[2] / width
    details = stack.details
    details = replace(
        details,
        x=None if details.x is None else details.x / right,
        y=None if details.y is None else details.y / down,
        significant_bits=None,
    )
    _write_arrays(path, mean, _extras(result), details, overwrite)


def _write_arrays(
    path: str, array: NDArray[Any], extra: dict[str, NDArray[Any] | None], details: Details, overwrite: bool
) -> None:
    """One image, and others of the same geometry beside it (TIFF) or inside it (OME-Zarr)."""
    row = named_format(path)
    told = [(name, _planes(values)) for name, values in extra.items() if values is not None]
    with _work_folder(path) as folder:
        if row is not None and row.name == "zarr":
            from gencosmo.io.zarr_write import write_arrays

            part = os.path.join(folder, "image.zarr")
            write_arrays(part, array, told, details, "0.5")
            put_in_place([(part, os.path.abspath(path.rstrip("/")))], overwrite=overwrite)
            return
        from gencosmo.io.tiff_new import write_ome

        parts = []
        for name, values in [*told, ("", array)]:
            stack = ArrayStack(values, details)
            part = os.path.join(folder, f"{name or 'image'}.tif")
            write_ome(part, stack.axes, values.dtype, stack.read, details, words={}, name=name, compress=bool(name))
            parts.append((part, side_name(path, name) if name else path))
        put_in_place(parts, overwrite=overwrite)
