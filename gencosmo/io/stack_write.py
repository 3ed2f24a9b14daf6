"""The output of a stack: which writer makes it, what lies beside it, and that all of it appears or nothing."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from gencosmo.errors import InputError, UsageError
from gencosmo.io.axes import Axes
from gencosmo.io.levels import Ladder, level_sizes
from gencosmo.io.ngff import check_version
from gencosmo.io.painted import TAG, Output
from gencosmo.io.registry import format_of, named_format
from gencosmo.io.stack import warn
from gencosmo.io.stack_options import StackWrite
from gencosmo.io.storage import put_in_place, storage_errors

__all__ = ["SIDES", "Output", "check_sides", "put_with_sides", "read_rows", "side_name", "write_output"]

SIDES = ("std", "fill", "flags", "samples", "prior_share")
"""What may lie beside a TIFF."""


def side_name(path: str, layer: str) -> str:
    """Return the name of a file beside an output: `a.ome.tif` has `a.std.ome.tif`."""
    stem = re.sub(r"(\.ome)?\.(tiff?|btf|tf8)$", "", path, flags=re.IGNORECASE)
    return f"{stem}.{layer}.ome.tif"


def check_sides(path: str, layers: Iterable[str], *, overwrite: bool, run: tuple[str, str] = ("", "")) -> None:
    """Refuse an output when a file that would lie beside it exists; one of the same `run` (parent, digest) may.

    Raises
    ------
    UsageError
        `exists`, before anything is computed.
    """
    target = named_format(path)
    if overwrite or target is None or target.name != "tiff":
        return
    for layer in layers:
        name = side_name(path, layer)
        if os.path.exists(name) and not _made_by(name, run):
            raise UsageError(
                f"{name} exists, and would be written beside {path}",
                code="exists",
                hint="--overwrite replaces it, or choose another name",
            )


def _made_by(path: str, run: tuple[str, str]) -> bool:
    try:
        rows = read_rows(path)
    except InputError:
        return False
    return bool(rows) and all(run) and (rows[-1].get("GCMPARNT"), rows[-1].get("GCMRUN")) == run


def put_with_sides(parts: Sequence[tuple[str, str]], *, overwrite: bool, run: tuple[str, str]) -> None:
    """As `put_in_place`; what the same run left beside an output before it was killed is replaced, and with
    `overwrite` go files of an earlier run beside it that this one does not make.
    """
    path, names = parts[-1][1], [name for _, name in parts]
    for name in names[:-1]:
        if not overwrite and os.path.exists(name) and _made_by(name, run):
            os.remove(name)
    put_in_place(parts, overwrite=overwrite)
    for name in (side_name(path, layer) for layer in SIDES):
        if overwrite and name not in names and os.path.isfile(name) and _ours(name):
            os.remove(name)


def _ours(path: str) -> bool:
    try:
        return bool(read_rows(path))
    except InputError:
        return False


def write_output(output: Output) -> int:
    """Make an output of the input and its filled pixels; return the number of these.

    Everything is written inside the folder of results and renamed at the end, the image last.

    Raises
    ------
    UsageError
        The output exists by now.
    StorageError
        Disk full, folder not writable.
    """
    count = output.repairs.count(output.planes)
    target = named_format(output.path)
    words = output.words(count)
    if count:
        output.tell()
    with storage_errors(output.path):
        make = _zarr if target is not None and target.name == "zarr" else _tiff
        parts = make(output, words, count)
        run = (words.get("GCMPARNT", ""), words.get("GCMRUN", ""))
        put_with_sides(parts, overwrite=output.options.overwrite, run=run)
    return count


def _zarr(output: Output, words: Mapping[str, str], count: int) -> list[tuple[str, str]]:
    from gencosmo.io.zarr import ZarrStack
    from gencosmo.io.zarr_write import copy_zarr, new_zarr

    part = os.path.join(output.repairs.folder, "image.zarr")
    stack, options = output.stack, output.options
    asked = options.ngff if isinstance(options, StackWrite) else None
    same = isinstance(stack, ZarrStack) and stack.kind == "ome-zarr" and asked in (None, stack.version)
    if same and not output.repairs.everywhere and output.dtype == stack.dtype:
        copy_zarr(output, part, words) if count else _copy_tree(stack.path, part)
    else:
        version = check_version(asked or (getattr(stack, "version", "") or "0.5"))
        new_zarr(output, part, words, version)
    return [(part, output.path)]


def _copy_tree(source: str, part: str) -> None:
    if os.path.isdir(part):
        shutil.rmtree(part)
    shutil.copytree(source, part)


def _tiff(output: Output, words: Mapping[str, str], count: int) -> list[tuple[str, str]]:
    from gencosmo.io.tiff import TiffStack
    from gencosmo.io.tiff_copy import COPIED, copy_tiff
    from gencosmo.io.tiff_new import write_ome

    stack, folder = output.stack, output.repairs.folder
    part = os.path.join(folder, "image.tif")
    asked = re.search(r"\.ome\.tiff?$", output.path, re.IGNORECASE) is not None
    paged = isinstance(stack, TiffStack) and stack.by_page
    made = output.repairs.everywhere
    copied = not made and paged and getattr(stack, "series").kind in COPIED  # noqa: B009 (known to be a TiffStack here)
    if copied and (stack.kind == "ome-tiff" or not asked):
        copy_tiff(output, part, words) if count else shutil.copyfile(stack.path, part)
    else:
        if isinstance(stack, TiffStack) and not asked and not made:
            warn(f"{stack.path} cannot be written as it is stored, and becomes OME-TIFF", "converted")
        compress = output.options.compress == "gzip"
        write_ome(
            part, stack.axes, output.dtype, output.read, stack.details, words=words, compress=compress,
            document=partial(_document, output, words) if isinstance(stack, TiffStack) else None,
        )  # fmt: skip
    sides = [*_sides(output, folder, words), *_samples(output, folder, words)] if count else []
    return [*sides, (part, output.path)]


def _document(output: Output, words: Mapping[str, str], order: str, pages: int) -> str | None:
    """The OME-XML of the input for its image made anew: instruments, dates, places and channels stay."""
    from gencosmo.io.ome_xml import remade_ome
    from gencosmo.io.tiff import TiffStack

    stack = output.stack
    if not isinstance(stack, TiffStack) or stack.kind != "ome-tiff":
        return None
    return remade_ome(
        stack.file.ome_metadata, words=words, number=stack.number, axes=stack.axes, order=order, dtype=output.dtype,
        pages=pages, where=stack.path,
    )  # fmt: skip


def _samples(output: Output, folder: str, words: Mapping[str, str]) -> list[tuple[str, str]]:
    """Posterior samples as a file of their own."""
    number, stack = output.drawn, output.stack
    if not number:
        return []
    from gencosmo.io.tiff_samples import write_samples

    part = os.path.join(folder, "samples.tif")
    write_samples(part, _unfolded(stack.axes), number, output.sample, stack.details, words=words)
    return [(part, side_name(output.path, "samples"))]


def _sides(output: Output, folder: str, words: Mapping[str, str]) -> list[tuple[str, str]]:
    """std, fill and flags: OME-TIFF of the same geometry, deflated, since most of them is zero."""
    from gencosmo.io.tiff_new import TILED, write_ome

    stack = output.stack
    height, width = stack.axes.inside[3:]
    ladder = Ladder([(height, width), *(level_sizes(height, width) if height * width > TILED else [])])
    # without S: of RGB every sample has its own plane of a channel
    axes = _unfolded(stack.axes)
    details = stack.details
    parts = []
    for name, dtype in output.layers:
        part = os.path.join(folder, f"{name}.tif")
        write_ome(
            part,
            axes,
            np.dtype(dtype),
            lambda plane, section, name=name, dtype=dtype: output.repairs.layer(name, dtype, plane, section),  # type: ignore[misc]
            details,
            words=words,
            name=name,
            compress=True,
            # of an image with a value everywhere a smaller copy is its mean, of scattered pixels the largest
            shrunk=None if name == "std" and output.repairs.everywhere else _shrunk(output, ladder, name, dtype),
        )
        parts.append((part, side_name(output.path, name)))
    return parts


def _shrunk(output: Output, ladder: Ladder, name: str, dtype: Any) -> Any:
    def make(plane: Any, level: int, size: tuple[int, int]) -> Any:
        return ladder.layer(output.repairs, name, dtype, plane, level, (slice(0, size[0]), slice(0, size[1])))

    return make


def _unfolded(axes: Axes) -> Axes:
    """The axes with samples as channels."""
    if "S" not in axes.letters:
        return axes
    sizes = dict(zip("TCZYX", axes.inside, strict=True))
    letters = "".join(letter for letter in axes.letters if letter not in "SYX")
    letters = (letters if "C" in letters else letters + "C") + "YX"
    return Axes(letters, tuple(sizes[letter] for letter in letters))


def read_rows(path: str) -> list[dict[str, str]]:
    """Return the rows of provenance of an output, empty when it has none.

    Raises
    ------
    InputError
        When the file is of no format with axes.
    """
    name = format_of(path).name
    if name == "zarr":
        from gencosmo.io.zarr import read_attributes

        rows = read_attributes(path).get("gencosmo", [])
        return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    if name == "tiff":
        from gencosmo.io.tiff_copy import rows_of
        from gencosmo.io.tiff_open import open_tiff

        with open_tiff(path) as file:
            return rows_of(file.pages[0].tags.valueof(TAG))
    return []
