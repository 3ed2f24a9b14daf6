"""Packed training frames: many planes of network flux in one npz file, readable with NumPy alone.

A packed file holds ``pixels`` (float32, all planes end to end; NaN = bad), ``shapes`` (n, 2) and ``groups`` (n,)
names, so that a training machine needs neither astropy nor the original files.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import InputError
from gencosmo.image import Image
from gencosmo.scaling import measure_scaling

ARRAYS = ("pixels", "shapes", "groups")
MIN_SIDE = 16
"""Planes with a shorter side are not worth packing."""
MIN_VALUES = 12
"""Planes with fewer different values are masks and maps of flags, not images."""


@dataclass(frozen=True)
class Frame:
    """One plane of network flux (H, W), NaN = bad, and the group it came from."""

    flux: NDArray[np.float32]
    group: str


def frames_of_image(image: Image, group: str) -> Iterator[Frame]:
    """Channels of an image as frames of network flux; those too small, mostly masked or without tones are left out."""
    good = ~image.mask
    for channel in range(image.shape[0]):
        values, seen = image.data[channel], good[channel]
        if min(values.shape) < MIN_SIDE or seen.mean() < 0.5 or np.unique(values[seen][:5000]).size < MIN_VALUES:
            continue
        ivar = None if image.ivar is None else image.ivar[channel]
        flux = measure_scaling(values, seen, ivar).to_flux(values)
        yield Frame(np.where(seen, flux, np.nan).astype(np.float32), group)


def write_packed(path: str | Path, frames: Iterable[Frame]) -> int:
    """Write frames to `path`, whole or not at all; returns how many.

    Raises
    ------
    InputError
        When there is no frame of at least 16 x 16 pixels.
    """
    kept = [frame for frame in frames if min(frame.flux.shape) >= MIN_SIDE]
    if not kept:
        raise InputError(
            f"nothing to pack: no frame has both sides >= {MIN_SIDE} pixels",
            code="empty_pack",
            hint="give larger images",
        )
    temporary = Path(f"{path}.{os.getpid()}.tmp")
    try:
        with temporary.open("xb") as file:  # a name would be given another ending
            np.savez(
                file,
                pixels=np.concatenate([frame.flux.astype(np.float32).ravel() for frame in kept]),
                shapes=np.array([frame.flux.shape for frame in kept], dtype=np.int64),
                groups=np.array([frame.group for frame in kept]),
            )
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return len(kept)


def read_packed(paths: Sequence[str | Path]) -> list[Frame]:
    """Read the frames of one or more packed files.

    Raises
    ------
    InputError
        When a file is none, lacks one of the three arrays, or their sizes disagree.
    """
    frames: list[Frame] = []
    for path in paths:
        pixels, shapes, groups = _arrays(path)
        ends = np.cumsum(shapes.prod(1))
        for shape, group, end in zip(shapes, groups, ends, strict=True):
            plane = pixels[end - shape.prod() : end].reshape(shape)
            frames.append(Frame(plane, str(group)))
    return frames


def _arrays(path: str | Path) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.str_]]:
    """Pixels, shapes and groups of a packed file, which fit together."""
    try:
        with np.load(path, allow_pickle=False) as store:
            found = {name: store[name] for name in ARRAYS if name in store.files}
    except FileNotFoundError as error:
        raise InputError(f"no such file: {path}", code="not_found") from error
    except (ValueError, EOFError, OSError, BadZipFile, TypeError) as error:
        # a single array is no context
        raise _bad(path, f"is not a packed file or is damaged ({error})") from error
    if len(found) < len(ARRAYS):
        raise _bad(path, f"is not a packed file: arrays {sorted({*ARRAYS} - {*found})} are missing")
    pixels, shapes, groups = found.values()
    if pixels.dtype != np.float32 or pixels.ndim != 1 or shapes.dtype != np.int64 or shapes.shape != (len(groups), 2):
        raise _bad(
            path,
            f"is not a packed file: pixels are {pixels.dtype}{list(pixels.shape)}, expected float32[n]; shapes "
            f"{shapes.dtype}{list(shapes.shape)}, expected int64[planes, 2] for {len(groups)} groups",
        )
    if len(shapes) == 0 or shapes.min() < 1 or shapes.prod(1).sum() != pixels.size:
        asked = f"shapes ask for {shapes.clip(0).prod(1).sum()} pixels"
        raise _bad(path, f"is damaged: {asked} in {len(shapes)} planes, file has {pixels.size}")
    return pixels, shapes, groups


def _bad(path: str | Path, words: str) -> InputError:
    return InputError(f"{path} {words}", code="bad_pack", hint="make it with `gencosmo pack`")
