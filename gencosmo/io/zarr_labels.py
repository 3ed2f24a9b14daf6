"""Label images of an OME-Zarr, carried into one that is made anew (another version, another type, an estimate)."""

from __future__ import annotations

import copy
import os
import shutil
from itertools import product
from typing import Any

from gencosmo.io.ngff import VERSIONS, edit_attributes
from gencosmo.io.stack import warn
from gencosmo.io.zarr import ZarrStack, multiscales_of, open_array, read_attributes, zarr_package

__all__ = ["carry_labels", "list_label"]

OURS = "gcm_"


def carry_labels(stack: ZarrStack, path: str, version: str) -> None:
    """Copy the label images of a stack's image to the image at `path`; those of earlier runs of ours are made anew.

    Groups of other kinds (tables, other images) are left out, with a warning.
    """
    source = os.path.join(stack.path, stack.group)
    own = read_attributes(os.path.join(source, "labels"))
    words = own.get("ome", own)
    told = words.get("labels") if isinstance(words, dict) else None
    names = [name for name in told or [] if isinstance(name, str) and not name.startswith(OURS)]
    names = [name for name in names if _inside(name) and os.path.isdir(os.path.join(source, "labels", name))]
    for name in names:
        _carry(stack, f"{stack.group}/labels/{name}".strip("/"), path, name, version)
        list_label(path, name, version)
    arrays = {level.split("/")[0] for level in stack.levels}
    others = [
        entry.name
        for entry in os.scandir(source)
        if entry.is_dir() and entry.name not in {"labels", *arrays} and not entry.name.startswith((OURS, "."))
    ]
    if others and stack.kind == "ome-zarr":
        warn(f"{stack.path}: {', '.join(sorted(others))} stay behind; only images and labels are carried", "left_out")


def _inside(name: str) -> bool:
    return ".." not in name.split("/") and not os.path.isabs(name)


def _carry(stack: ZarrStack, where: str, path: str, name: str, version: str) -> None:
    source = os.path.join(stack.path, where)
    place = os.path.join(path, "labels", name)
    root = zarr_package().open_group(path, mode="a", zarr_format=VERSIONS[version])
    root.require_group("labels")
    if os.path.isfile(os.path.join(source, "zarr.json")) == (VERSIONS[version] == 3):
        shutil.copytree(source, place)
        return
    attributes = read_attributes(source)
    _, scales = multiscales_of(attributes, source)
    words = copy.deepcopy(attributes.get("ome", attributes))
    for row in (words, words.get("image-label") or {}, *words.get("multiscales", [])):
        row.pop("version", None)
    group = root.create_group(f"labels/{name}")
    if version == "0.4":
        words["multiscales"][0]["version"] = version
        words["image-label"] = {**(words.get("image-label") or {}), "version": version}
    group.attrs.update(words if version == "0.4" else {"ome": {"version": version, **words}})
    for row in (scales or {"datasets": []})["datasets"]:
        _copy_array(open_array(stack.path, where, str(row["path"])), group, str(row["path"]), scales or {}, version)


def _copy_array(array: Any, group: Any, name: str, scales: Any, version: str) -> None:
    """Chunk by chunk, in the same chunks."""
    more: dict[str, Any] = {"chunk_key_encoding": {"name": "v2", "separator": "/"}}
    axes = [row.get("name") for row in scales.get("axes") or [] if isinstance(row, dict)]
    if version != "0.4":
        more = {"dimension_names": axes} if len(axes) == array.ndim else {}
    new = group.create_array(
        name, shape=array.shape, chunks=array.chunks, dtype=array.dtype, fill_value=array.fill_value or 0, **more
    )
    sides = array.shards or array.chunks
    for corner in product(*(range(0, size, side) for size, side in zip(array.shape, sides, strict=True))):
        region = tuple(slice(a, a + side) for a, side in zip(corner, sides, strict=True))
        new[region] = array[region]


def list_label(folder: str, name: str, version: str) -> None:
    """Name a label image in the list that the group `labels` of an image keeps."""

    def change(words: dict[str, Any]) -> None:
        if version != "0.4":
            words = words.setdefault("ome", {})
            words.setdefault("version", version)
        words["labels"] = [*(one for one in words.get("labels", []) if one != name), name]

    edit_attributes(os.path.join(folder, "labels"), change)
