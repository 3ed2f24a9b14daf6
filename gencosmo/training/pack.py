"""Packed training frames: many planes of network flux in one npz file, readable with NumPy alone.

A packed file holds ``pixels`` (float32, all planes end to end; NaN = bad), ``shapes`` (n, 2) and ``groups`` (n,)
names, so that a training machine needs neither astropy nor the original files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import InputError
from gencosmo.image import Image
from gencosmo.scaling import measure_scaling

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
    """Write frames to `path`; returns how many.

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
    np.savez(
        Path(path),
        pixels=np.concatenate([frame.flux.astype(np.float32).ravel() for frame in kept]),
        shapes=np.array([frame.flux.shape for frame in kept], dtype=np.int64),
        groups=np.array([frame.group for frame in kept]),
    )
    return len(kept)


def read_packed(paths: Sequence[str | Path]) -> list[Frame]:
    """Read the frames of one or more packed files.

    Raises
    ------
    InputError
        When a file lacks one of the three arrays or its sizes disagree.
    """
    frames: list[Frame] = []
    for path in paths:
        with np.load(path, allow_pickle=False) as store:
            missing = {"pixels", "shapes", "groups"} - set(store.files)
            if missing:
                raise InputError(
                    f"{path} is not a packed file: arrays {sorted(missing)} are missing",
                    code="bad_pack",
                    hint="make it with `gencosmo pack`",
                )
            pixels, shapes, groups = store["pixels"], store["shapes"], store["groups"]
        ends = np.cumsum(shapes.prod(1))
        if len(ends) == 0 or ends[-1] != pixels.size or len(groups) != len(shapes):
            raise InputError(
                f"{path} is damaged: shapes ask for {ends[-1] if len(ends) else 0} pixels, file has {pixels.size}",
                code="bad_pack",
                hint="pack again",
            )
        for (height, width), end, group in zip(shapes, ends, groups, strict=True):
            frames.append(Frame(pixels[end - height * width : end].reshape(height, width), str(group)))
    return frames
