"""Many images, few at a time: images that are read when they are needed, in batches of one size, and a shelf on disk
for what has to be seen twice.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np

from gencosmo.anomaly.views import Raw
from gencosmo.errors import StorageError
from gencosmo.image import Image, as_image

__all__ = ["DISK_PER_PIXEL", "Later", "Shelf", "batches", "opened", "shape_of"]

BATCH = 32
"""Images that are on one canvas at the same time."""
MOST_PIXELS = 1 << 21
"""Pixels that are on one canvas at the same time, where an image has not more by itself."""
STEP = 8
"""Images whose longer sides end in the same interval of this many pixels go into one batch."""
ONE_BATCH = 136
"""Images with longer sides are seen in windows of the prior's own size, and share batches whatever their sizes."""
IN_MEMORY = 256 << 20
"""Bytes that a shelf keeps in memory; more go to a file in the folder for temporary files."""
DISK_PER_PIXEL = 41
"""Bytes that a shelf keeps of a pixel: deviations and variances at five scales, and whether it was scored."""


@dataclass(frozen=True)
class Later:
    """An image that is read when it is needed.

    Attributes
    ----------
    shape : (int, int, int)
        Channels, rows, columns.
    read : callable
        Gives the `Image`; called whenever it is needed.
    name : str
        What messages call it.
    """

    shape: tuple[int, int, int]
    read: Callable[[], Image]
    name: str = ""


def opened(image: Any) -> Image:
    """The `Image` of anything that users have, and of a `Later`."""
    return image.read() if isinstance(image, Later) else as_image(image)


def shape_of(image: Any) -> tuple[int, ...]:
    """Shape of an image (..., H, W); what does not tell its own is opened for it."""
    shape = getattr(image, "shape", None)
    return tuple(shape) if shape is not None and len(shape) >= 2 else opened(image).shape


def batches(shapes: Sequence[tuple[int, ...]]) -> Iterator[list[int]]:
    """Numbers of images that share a canvas: of like sizes, so that windows fit them and no answer depends on others.

    Parameters
    ----------
    shapes : sequence of (..., H, W)
    """
    kinds: dict[int, list[int]] = {}
    for number, shape in enumerate(shapes):
        side = -(-max(shape[-2:]) // STEP) * STEP
        kinds.setdefault(min(side, ONE_BATCH), []).append(number)
    for numbers in kinds.values():
        batch: list[int] = []
        pixels = 0
        for number in numbers:
            own = int(np.prod(shapes[number]))
            if batch and (len(batch) == BATCH or pixels + own > MOST_PIXELS):
                yield batch
                batch, pixels = [], 0
            batch.append(number)
            pixels += own
        yield batch


class Shelf(Sequence[Raw]):
    """What the passes left of many planes; the arrays of pixels lie in one file, and are read when asked for."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 (closed with the shelf)
        self._rows: list[tuple[int, Raw]] = []
        self._shapes: list[tuple[int, ...]] = []

    def put(self, raw: Raw) -> None:
        """Add a plane.

        Raises
        ------
        StorageError
            No room left on the disk.
        """
        start = self._file.seek(0, 2)
        try:
            for array in (raw.z, raw.var, raw.scored):
                self._file.write(np.ascontiguousarray(array).tobytes())
        except OSError as error:
            hint = "set TMPDIR to a folder on a larger disk"
            raise StorageError(f"{tempfile.gettempdir()}: {error.strerror}", hint=hint) from None
        nothing = np.zeros((0, 0, 0), np.float32)
        self._rows.append((start, replace(raw, z=nothing, var=nothing, scored=np.zeros((0, 0), np.bool_))))
        self._shapes.append(raw.z.shape)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, number: int) -> Raw: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Raw]: ...
    def __getitem__(self, number: int | slice) -> Raw | Sequence[Raw]:
        if isinstance(number, slice):
            return Part(self, range(len(self))[number])
        start, kept = self._rows[number]
        shape = self._shapes[number]
        self._file.seek(start)
        z, var = (np.frombuffer(self._file.read(4 * int(np.prod(shape))), np.float32).reshape(shape) for _ in range(2))
        scored = np.frombuffer(self._file.read(int(np.prod(shape[1:]))), np.bool_).reshape(shape[1:])
        return replace(kept, z=z, var=var, scored=scored)

    def close(self) -> None:
        """Forget everything."""
        self._file.close()


class Part(Sequence[Raw]):
    """Some planes of a shelf."""

    def __init__(self, shelf: Shelf, numbers: Sequence[int]) -> None:
        self._shelf, self._numbers = shelf, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, number: int) -> Raw: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Raw]: ...
    def __getitem__(self, number: int | slice) -> Raw | Sequence[Raw]:
        if isinstance(number, slice):
            return Part(self._shelf, self._numbers[number])
        return self._shelf[self._numbers[number]]
