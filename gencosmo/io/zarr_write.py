"""OME-Zarr out: a copy of the input with its changed chunks written again, or a new hierarchy; std and fill inside.

The spread of filled pixels is the image `gcm_std`, what was filled the label image `labels/gcm_fill`, shown by viewers
without being asked. Chunks (shards, where there are some) are made one at a time; those without filled pixels stay the
input's, byte for byte.
"""

from __future__ import annotations

import copy
import math
import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import InputError
from gencosmo.io.axes import ORDER, Plane, Section
from gencosmo.io.levels import Ladder, halve, level_sizes
from gencosmo.io.ngff import (
    VERSIONS,
    attributes_of_image,
    edit_attributes,
    multiscales,
    show_channels,
    steps_of_details,
)
from gencosmo.io.painted import Output
from gencosmo.io.stack import Details
from gencosmo.io.zarr import ZarrStack, multiscales_of, read_attributes, zarr_package
from gencosmo.io.zarr_labels import carry_labels, list_label

__all__ = ["SAMPLES", "copy_zarr", "create_array", "new_zarr", "remember", "write_arrays", "write_levels"]

CHUNK, SHARD = 1024, 4096
SHARDED = 1 << 26
"""Pixels from which the chunks of a plane are gathered into shards (0.5)."""
SAMPLES = "gcm_samples"
NAMES = {"std": "gcm_std", "fill": "labels/gcm_fill", "flags": "labels/gcm_flags"}


def copy_zarr(output: Output, path: str, words: Mapping[str, str]) -> None:
    """Copy the hierarchy of an output's stack to `path` and change its filled pixels at all levels."""
    stack = output.stack
    assert isinstance(stack, ZarrStack)
    if os.path.isdir(path):
        shutil.rmtree(path)
    shutil.copytree(stack.path, path)
    arrays = [_writable(path, stack.group, name) for name in stack.levels]
    places = [stack.letters.index(letter) for letter in "YX"]
    sizes = [(array.shape[places[0]], array.shape[places[1]]) for array in arrays]
    ladder = Ladder(sizes)
    changed = [plane for plane in output.planes if output.changes(plane)]
    for level, array in enumerate(arrays):
        for region, section, planes in _regions(array, stack, changed):
            where = {plane: ladder.touched(output.repairs, plane, level, section) for plane in planes}
            where = {plane: found for plane, found in where.items() if found[0].size}
            if not where:
                continue
            block = np.asarray(array[region])
            for plane, found in where.items():
                view = _view(block, stack, plane, region)
                if level == 0:
                    view[...] = output.paint(view, plane, section)
                    continue
                below = ladder.below(level, section)
                under = np.asarray(arrays[level - 1][stack.index(plane, below)])
                ladder.patch(view, level, section, under.T if stack.axes.transposed else under, below, found)
            array[region] = block
    group = os.path.join(path, stack.group)
    if stack.kind == "ome-zarr":
        version, scales = multiscales_of(read_attributes(os.path.join(stack.path, stack.group)))
        entry = copy.deepcopy(scales or {})
        _layers(output, group, entry, stack.levels, [array.shape for array in arrays], ladder, version, stack.letters)
    remember(group, words)
    _consolidate(path)


def new_zarr(output: Output, path: str, words: Mapping[str, str], version: str) -> None:
    """Write a new hierarchy with the values of an output: one group, its levels `0`, `1`, ... each half the last."""
    if os.path.isdir(path):
        shutil.rmtree(path)
    stack = output.stack
    t, c, z, height, width = stack.axes.inside
    stored = stack.axes.letters
    letters = "".join(a for a in ORDER if a in stored or (a == "C" and c > 1))
    counts = dict(zip(ORDER, (t, c, z, height, width), strict=True))
    sizes = [(height, width), *level_sizes(height, width, 512)]
    shapes = [tuple({**counts, "Y": h, "X": w}[a] for a in letters) for h, w in sizes]
    own = isinstance(stack, ZarrStack) and stack.kind == "ome-zarr"
    steps = stack.steps if isinstance(stack, ZarrStack) and own else steps_of_details(stack.details)
    kept, entry = _kept(stack), multiscales(letters, sizes, steps, version=version, name=stack.details.name)
    root = zarr_package().open_group(path, mode="w", zarr_format=VERSIONS[version])
    root.attrs.update(attributes_of_image(entry, version, kept=kept))
    arrays = [create_array(root, str(n), shape, output.dtype, version, letters) for n, shape in enumerate(shapes)]
    write_levels(arrays, sizes, letters, list(stack.axes.planes()), output.read)
    shown = stack.details if stack.axes.samples == 1 else _of_samples(stack.details, c)
    if c in (len(shown.channel_names), len(shown.channel_colors)) and "omero" not in kept:
        whole = (slice(None), slice(None))
        smallest = [np.asarray(arrays[-1][_place(letters, Plane(0, n, z // 2), whole)]) for n in range(c)]
        show_channels(path, version, shown, smallest)
    if isinstance(stack, ZarrStack):
        carry_labels(stack, path, version)
    if output.repairs.count(output.planes):
        paths = [str(n) for n in range(len(sizes))]
        _layers(output, path, entry, paths, shapes, Ladder(sizes), version, letters)
    remember(path, words)


def _of_samples(details: Details, count: int) -> Details:
    """Names and colours of the samples of RGB, which are channels here."""
    if count != 3:
        return details
    return replace(details, channel_names=("red", "green", "blue"), channel_colors=("FF0000", "00FF00", "0000FF"))


def write_levels(
    arrays: Sequence[Any],
    sizes: Sequence[tuple[int, int]],
    letters: str,
    planes: Sequence[Plane],
    read: Callable[[Plane, Section], NDArray[Any]],
) -> None:
    """Write all levels of an image: full size as it is read, each other the means of the one below it."""
    turned = letters.index("X") < letters.index("Y")
    ladder = Ladder(sizes)
    for plane in planes:
        for level, size in enumerate(sizes):
            step = SHARD if max(size) > SHARD else CHUNK
            for section in _sections(size, step):
                if level == 0:
                    values = read(plane, section)
                else:
                    below = ladder.below(level, section)
                    under = np.asarray(arrays[level - 1][_place(letters, plane, below)])
                    values = _shrunk(under.T if turned else under, section)
                arrays[level][_place(letters, plane, section)] = values.T if turned else values


def _shrunk(values: NDArray[Any], section: Section) -> NDArray[Any]:
    """Means of 2x2 pixels; of levels that are not halves, the pixels under the middle of each."""
    shape = tuple(part.stop - part.start for part in section)
    found = halve(values)
    if found.shape == shape:
        return found
    rows, cols = ((np.arange(n) + 0.5) * size / n for n, size in zip(shape, values.shape, strict=True))
    return values[np.ix_(rows.astype(np.int64), cols.astype(np.int64))]


def _kept(stack: Any) -> dict[str, Any]:
    """Words of an OME-Zarr that stay true in another one: all but its arrays."""
    if not isinstance(stack, ZarrStack) or stack.kind != "ome-zarr":
        return {}
    attributes = read_attributes(os.path.join(stack.path, stack.group))
    words = attributes.get("ome", attributes)
    return {key: value for key, value in words.items() if key not in ("multiscales", "version", "gencosmo", "labels")}


def _writable(path: str, group: str, name: str) -> Any:
    where = "/".join(part for part in (group, name) if part)
    return zarr_package().open_array(path, path=where or None, mode="r+")


def create_array(
    group: Any, name: str, shape: Sequence[int], dtype: Any, version: str, letters: str, chunks: Any = None,
    shards: Any = None,
) -> Any:  # fmt: skip
    """Make an array of a level, chunks of one plane; large planes of 0.5 in shards."""
    own = tuple(min(n, CHUNK) if a in "YX" else 1 for a, n in zip(letters, shape, strict=True))
    more: dict[str, Any] = {}
    if version == "0.4":
        more["chunk_key_encoding"] = {"name": "v2", "separator": "/"}
    else:
        more["dimension_names"] = [letter.lower() if letter != "-" else None for letter in letters]
        pixels = math.prod(n for a, n in zip(letters, shape, strict=True) if a in "YX")
        if shards is None and chunks is None and pixels > SHARDED:
            shards = tuple(SHARD if a in "YX" else 1 for a in letters)
    return group.create_array(
        name, shape=tuple(shape), chunks=chunks or own, shards=shards, dtype=dtype, fill_value=0, **more
    )


def _layers(
    output: Output,
    folder: str,
    entry: Mapping[str, Any],
    paths: Sequence[str],
    shapes: Sequence[Sequence[int]],
    ladder: Ladder,
    version: str,
    letters: str,
) -> None:
    """Write std, fill and flags beside the levels of an image; chunks without filled pixels take no room."""
    number = version if version in VERSIONS else ("0.4" if _is_v2(folder) else "0.5")
    parent = zarr_package().open_group(folder, mode="a", zarr_format=VERSIONS[number])
    for name, dtype in output.layers:
        place, label = NAMES[name], name != "std"
        dense, arrays = output.repairs.everywhere and not label, []
        group = parent.create_group(place, overwrite=True)
        group.attrs.update(attributes_of_image({**entry, "name": place.rpartition("/")[2]}, number, label=label))
        for level, (path, shape) in enumerate(zip(paths, shapes, strict=True)):
            array = create_array(group, path, shape, dtype, number, letters)
            arrays.append(array)
            if dense:
                continue
            for plane in output.planes:
                for section in _sections(ladder.sizes[level], SHARD if array.shards else CHUNK):
                    values = ladder.layer(output.repairs, name, dtype, plane, level, section)
                    if values.any():
                        turned = letters.index("X") < letters.index("Y")
                        array[_place(letters, plane, section)] = values.T if turned else values
        if dense:
            read = _field(output, name, dtype)
            write_levels(arrays, ladder.sizes, letters, output.planes, read)
        if label:
            list_label(folder, place.rpartition("/")[2], number)
    if output.drawn:
        _samples(output, parent, entry, paths, shapes, ladder.sizes, number, letters)


def _field(output: Output, name: str, dtype: Any) -> Callable[[Plane, Section], NDArray[Any]]:
    return lambda plane, section: output.repairs.layer(name, dtype, plane, section)


def _samples(
    output: Output,
    parent: Any,
    entry: Mapping[str, Any],
    paths: Sequence[str],
    shapes: Sequence[Sequence[int]],
    sizes: Sequence[tuple[int, int]],
    version: str,
    letters: str,
) -> None:
    """Write posterior samples as a collection of images `gcm_samples/0`, `1`, ...: an image has five axes at most."""
    shelf = parent.create_group(SAMPLES, overwrite=True)
    layout = {"bioformats2raw.layout": 3}
    shelf.attrs.update(layout if version == "0.4" else {"ome": {"version": version, **layout}})
    planes = list(output.stack.axes.planes())
    for sample in range(output.drawn):
        group = shelf.create_group(str(sample))
        group.attrs.update(attributes_of_image({**entry, "name": f"sample {sample}"}, version))
        arrays = [
            create_array(group, path, shape, np.float32, version, letters)
            for path, shape in zip(paths, shapes, strict=True)
        ]
        write_levels(arrays, sizes, letters, planes, partial(output.sample, sample))


def _is_v2(folder: str) -> bool:
    return os.path.isfile(os.path.join(folder, ".zgroup"))


def remember(folder: str, words: Mapping[str, str]) -> None:
    """Add a row of provenance to a group's own attributes."""
    if words:
        edit_attributes(folder, lambda own: own.__setitem__("gencosmo", [*own.get("gencosmo", []), dict(words)]))


def _consolidate(path: str) -> None:
    """Make consolidated metadata again where the input had them: they would not know the new groups."""
    zarr = zarr_package()
    if os.path.isfile(os.path.join(path, ".zmetadata")):
        zarr.consolidate_metadata(path, zarr_format=2)
    elif zarr.open_group(path, mode="r").metadata.consolidated_metadata is not None if _is_group(path) else False:
        with warnings.catch_warnings():  # that Zarr 3 has no word for them yet; the input has them all the same
            warnings.simplefilter("ignore")
            zarr.consolidate_metadata(path, zarr_format=3)


def _is_group(path: str) -> bool:
    try:
        zarr_package().open_group(path, mode="r")
    except Exception:  # an array, told in several ways
        return False
    return True


def _sections(size: tuple[int, int], step: int) -> Iterator[Section]:
    for row in range(0, size[0], step):
        for col in range(0, size[1], step):
            yield slice(row, min(size[0], row + step)), slice(col, min(size[1], col + step))


def _place(letters: str, plane: Plane, section: Section) -> tuple[int | slice, ...]:
    at: dict[str, int | slice] = {
        "T": plane.t, "C": plane.c, "Z": plane.z, "Y": section[0], "X": section[1], "-": 0,
    }  # fmt: skip
    return tuple(at[letter] for letter in letters)


def _regions(
    array: Any, stack: ZarrStack, changed: Sequence[Plane]
) -> Iterator[tuple[tuple[slice, ...], Section, list[Plane]]]:
    """What is written at a time: shards or chunks, with their rows and columns and the changed planes in them."""
    sides = array.shards or array.chunks
    if math.prod(sides) > stack.limit:
        raise InputError(f"{stack.path}: its shards have {math.prod(sides):.2g} values, limit {stack.limit:.2g}")
    grid = [range(0, size, side) for size, side in zip(array.shape, sides, strict=True)]
    for corner in product(*grid):
        region = tuple(slice(a, min(a + side, size)) for a, side, size in zip(corner, sides, array.shape, strict=True))
        at = dict(zip(stack.letters, region, strict=True))
        held = [
            plane for plane in changed if all(_holds(at.get(letter), n) for letter, n in zip("TCZ", plane, strict=True))
        ]
        if held:
            yield region, (at["Y"], at["X"]), held


def _holds(part: slice | None, number: int) -> bool:
    return part is None or part.start <= number < part.stop


def _view(block: NDArray[Any], stack: ZarrStack, plane: Plane, region: Sequence[slice]) -> NDArray[Any]:
    """One plane of what was read of a region, rows first."""
    everything = (slice(None), slice(None))
    index = tuple(
        n if isinstance(n, slice) else n - part.start
        for n, part in zip(stack.index(plane, everything), region, strict=True)
    )
    view: NDArray[Any] = block[index]
    return view.T if stack.axes.transposed else view


def write_arrays(
    path: str, array: NDArray[Any], others: Sequence[tuple[str, NDArray[Any]]], details: Details, version: str
) -> None:
    """Write planes (C, H, W) as the root image of a new hierarchy, and others of their size as images `gcm_NAME`."""
    root = zarr_package().open_group(path, mode="w", zarr_format=VERSIONS[version])
    names = details.channel_names if len(details.channel_names) == array.shape[0] else ()
    for name, values in [("", array), *((f"gcm_{name}", values) for name, values in others)]:
        group = root.create_group(name) if name else root
        sizes = [tuple(values.shape[1:]), *level_sizes(values.shape[1], values.shape[2], 512)]
        entry = multiscales("CYX", sizes, steps_of_details(details), version=version, name=name)
        group.attrs.update(attributes_of_image(entry, version))
        for level, (height, width) in enumerate(sizes):
            stored = create_array(group, str(level), (values.shape[0], height, width), values.dtype, version, "CYX")
            if level:
                values = np.stack([halve(plane) for plane in values])
            stored[...] = values
        if names and not name:
            show_channels(path, version, details, list(values))
