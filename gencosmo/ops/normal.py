"""Standard normal noise anchored to the sky.

Philox4x32-10 (Salmon et al. 2011) turns a counter and a key into four 32-bit words, Box-Muller turns those
into four normals. The key is the plane's 64-bit seed, the counter is ``(column >> 2, row, key, rng_step << 8
| stream)`` with
*absolute* pixel coordinates, so that a pixel gets the same noise in whatever batch, window or section it is
computed.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gencosmo.ops._dispatch import define, refuse_grad

STREAM_WARM = 0
"""Noise of the warm start."""
STREAM_STEP = 1
"""Noise of the sampler's steps."""
STREAM_DATA = 2
"""Perturbation of data."""
STREAM_PROBE = 3
"""Hutchinson probes."""

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (np.uint64(0x9E3779B9), np.uint64(0xBB67AE85))
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)

_normal = define("normal_(Tensor(a!) out, Tensor layout, Tensor seed, Tensor rng_step, Tensor stream) -> ()", "normal")

Words = tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64]]


def philox_reference(counter: Words, key: tuple[NDArray[np.uint64], NDArray[np.uint64]]) -> Words:
    """Ten rounds of Philox4x32; every word is a uint64 array holding 32 bits."""
    a, b, c, d = counter
    low, high = key
    for _ in range(10):
        first, second = a * _MULTIPLIERS[0], c * _MULTIPLIERS[1]
        a, b = (second >> _HALF) ^ b ^ low, second & _LOW
        c, d = (first >> _HALF) ^ d ^ high, first & _LOW
        low, high = (low + _WEYL[0]) & _LOW, (high + _WEYL[1]) & _LOW
    return a, b, c, d


def pixel_counters(layout: Tensor, seed: Tensor) -> tuple[NDArray[np.int64], ...]:
    """Canvas index, absolute row and column, key and seed of every pixel of every plane, flat and in plane
    order.
    """
    planes = layout.cpu().numpy()
    seeds = seed.cpu().numpy()
    parts: list[tuple[NDArray[np.int64], ...]] = []
    for (offset, height, width, row0, col0, key), value in zip(planes, seeds, strict=True):
        inside = np.arange(height * width, dtype=np.int64)
        rows, cols = row0 + inside // max(width, 1), col0 + inside % max(width, 1)
        parts.append((offset + inside, rows, cols, np.full_like(inside, key), np.full_like(inside, value)))
    if not parts:
        return tuple(np.zeros(0, np.int64) for _ in range(5))
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def normal_reference_(out: Tensor, layout: Tensor, seed: Tensor, rng_step: Tensor, stream: Tensor) -> None:
    """NumPy float64 truth of :func:`normal_`; ``out`` may have any float dtype."""
    index, row, col, key, seeds = pixel_counters(layout, seed)

    def word(value: NDArray[np.int64]) -> NDArray[np.uint64]:
        return value.astype(np.uint64) & _LOW

    last = np.uint64((int(rng_step) << 8 | int(stream)) & 0xFFFFFFFF)
    counter = (word(col >> 2), word(row), word(key), np.full(index.shape, last))
    bits = seeds.astype(np.uint64)
    words = philox_reference(counter, (bits & _LOW, bits >> _HALF))
    lane = col & 3
    radius_word = np.where(lane < 2, words[0], words[2]) >> np.uint64(1)
    angle_word = np.where(lane < 2, words[1], words[3])
    radius = np.sqrt(-2.0 * np.log((radius_word.astype(np.float64) + 0.5) / 2.0**31))
    angle = angle_word.astype(np.float64) * (2.0 * np.pi / 2.0**32)
    value = radius * np.where(lane % 2 == 0, np.cos(angle), np.sin(angle))
    out[torch.from_numpy(index).to(out.device)] = torch.from_numpy(value).to(out)


def normal_(out: Tensor, layout: Tensor, seed: Tensor, rng_step: Tensor, stream: Tensor) -> None:
    """Fill the planes of a flat tensor with standard normal noise.

    Parameters
    ----------
    out : Tensor (N,) float32
        Overwritten on the planes; the padding between them is left alone.
    layout : Tensor (P, 6) int64
        Planes: ``offset, H, W, row0, col0, key``.
    seed : Tensor (P,) int64
        Key of each plane.
    rng_step, stream : Tensor () or (1,) int64
        Last word of the counter, ``rng_step << 8 | stream``.
    """
    refuse_grad("normal_", out)
    _normal(out, layout, seed, rng_step, stream)
