"""`ingest`: the numbers of a file (any FITS type, either byte order) to native float32, ivar and flags in one
pass.

NumPy only: files are read without torch.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import InputError, UsageError
from gencosmo.flags import bits

__all__ = ["ingest", "ingest_reference"]

NO_DATA, NO_NOISE = bits("NO_DATA"), bits("NO_NOISE")
NOISE_KINDS = {"ivar": 1, "variance": 2, "std": 3}


def ingest(
    data: NDArray[Any],
    *,
    bscale: float = 1.0,
    bzero: float = 0.0,
    blank: int | None = None,
    noise: NDArray[Any] | None = None,
    noise_kind: str = "ivar",
    dq: NDArray[np.uint32] | None = None,
    threads: int | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None, NDArray[np.uint32]]:
    """Read raw numbers into data, inverse variance and flags.

    Parameters
    ----------
    data : ndarray
        Integers, float32 or float64, native or byte-swapped, any shape. The value is ``data * bscale +
        bzero``.
    bscale, bzero : float
        FITS scaling.
    blank : int, optional
        Raw integer that means "no value"; ignored for floats.
    noise : ndarray, optional
        Same shape as `data`, not scaled.
    noise_kind : {"ivar", "variance", "std"}
        What `noise` holds.
    dq : ndarray of uint32, optional
        Flags to start from, already in gencosmo's bits.
    threads : int, optional
        Default: the CPUs this process may use, at most 8.

    Returns
    -------
    data : ndarray of float32
        0 where there is no finite value; flag NO_DATA is set there.
    ivar : ndarray of float32 or None
        0 where there is no data and where the noise is not a positive finite number; the latter sets
        NO_NOISE. None when no `noise` was given.
    flags : ndarray of uint32

    Raises
    ------
    InputError
        When shapes differ or a type is not one of FITS.
    UsageError
        When `noise_kind` is not known.
    """
    if noise_kind not in NOISE_KINDS:
        raise UsageError(f"noise_kind: got {noise_kind!r}, expected one of {', '.join(NOISE_KINDS)}")
    raw, levels = (
        _words("data", data, data.shape),
        None if noise is None else _words("noise", noise, data.shape),
    )
    if dq is not None and (dq.shape != data.shape or dq.dtype.kind not in "iu"):
        raise InputError(f"dq: got {dq.dtype} {dq.shape}, expected integers {data.shape}")
    from gencosmo import _core

    quality = None if dq is None else np.ascontiguousarray(dq, dtype=np.uint32)
    value, flags = np.empty(data.shape, np.float32), np.empty(data.shape, np.uint32)
    ivar = None if noise is None else np.empty(data.shape, np.float32)
    workers = threads or min(8, len(os.sched_getaffinity(0)))
    _core.ingest(
        raw, bscale, bzero, blank, levels, NOISE_KINDS[noise_kind], quality, value, ivar, flags,
        NO_DATA, NO_NOISE, workers,
    )  # fmt: skip
    return value, ivar, flags


def _words(name: str, array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """The array, contiguous, once its type and shape are known to fit."""
    if array.dtype.kind == "b":
        array = array.view(np.uint8)
    if array.dtype.kind not in "iuf" or array.dtype.itemsize not in (1, 2, 4, 8) or array.dtype == np.float16:
        raise InputError(f"{name}: got dtype {array.dtype}, expected integers, float32 or float64")
    if array.shape != shape:
        raise InputError(f"{name}: got shape {array.shape}, expected {shape} like data")
    return np.ascontiguousarray(array)


def ingest_reference(
    data: NDArray[Any],
    *,
    bscale: float = 1.0,
    bzero: float = 0.0,
    blank: int | None = None,
    noise: NDArray[Any] | None = None,
    noise_kind: str = "ivar",
    dq: NDArray[np.uint32] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None, NDArray[np.uint32]]:
    """Return data, ivar (None without `noise`) and flags; float64 inside. See `ingest`."""
    with np.errstate(all="ignore"):
        value = (data.astype(np.float64) * bscale + bzero).astype(np.float32)
        bad = ~np.isfinite(value)
        if blank is not None and data.dtype.kind in "iu":
            bad |= data == blank
        flags = np.zeros(data.shape, np.uint32) if dq is None else dq.astype(np.uint32)
        flags[bad] |= np.uint32(NO_DATA)
        value[bad] = 0
        if noise is None:
            return value, None, flags
        wide = noise.astype(np.float64)
        if noise_kind != "ivar":
            positive = wide > 0
            wide = np.where(positive, 1.0 / np.where(positive, wide, 1.0) ** (2 if noise_kind == "std" else 1), 0)
        ivar = wide.astype(np.float32)
    unknown = ~(ivar > 0) | ~np.isfinite(ivar)
    flags[unknown] |= np.uint32(NO_NOISE)
    ivar[unknown | bad] = 0
    return value, ivar, flags
