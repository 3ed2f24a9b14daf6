"""The trace of a Jacobian from random signs (Hutchinson 1989), without storing them.

``E[v . J v] = tr J`` for independent random signs ``v``. The signs come from the counters of the noise
(:mod:`gencosmo.ops.normal`, stream 3): the highest bit of each Philox word. So `probe_` writes ``v`` for the caller,
who computes ``J v`` with autograd, and `hutchinson_` makes the same signs again for the dot product, whatever batch
the plane is in.

Sums are float64 in an order that depends on the plane only: 64 lanes along a row and a binary tree over them, rows in
256 chunks and a binary tree over those.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gencosmo.ops._dispatch import define, refuse_grad
from gencosmo.ops.normal import STREAM_PROBE, philox_reference, pixel_counters

__all__ = [
    "CHUNKS",
    "hutchinson_",
    "hutchinson_reference_",
    "probe_",
    "probe_reference_",
]

CHUNKS = 256
"""Partial sums per plane in the workspace."""

_probe = define("probe_(Tensor(a!) out, Tensor layout, Tensor seed, Tensor rng_step) -> ()", "probe")
_hutchinson = define(
    "hutchinson_(Tensor(a!) trace, Tensor product, Tensor layout, Tensor seed, Tensor rng_step, "
    "Tensor(b!) workspace) -> ()",
    "hutchinson",
)


def probe_(out: Tensor, layout: Tensor, seed: Tensor, rng_step: Tensor) -> None:
    """Fill the planes of a flat tensor with random signs, -1 or +1.

    Parameters
    ----------
    out : Tensor (N,) float32
        Overwritten on the planes; the padding between them is left alone.
    layout : Tensor (P, 6) int64
        Planes: ``offset, H, W, row0, col0, key``.
    seed : Tensor (P,) int64
        Key of each plane.
    rng_step : Tensor () or (1,) int64
        Number of the probe.
    """
    refuse_grad("probe_", out)
    _probe(out, layout, seed, rng_step)


def hutchinson_(
    trace: Tensor, product: Tensor, layout: Tensor, seed: Tensor, rng_step: Tensor, workspace: Tensor
) -> None:
    """Write ``v . (J v)`` of every plane, with the signs ``v`` of :func:`probe_`.

    Parameters
    ----------
    trace : Tensor (P,) float64
        Overwritten.
    product : Tensor (N,) float32
        ``J v``; put 0 where a pixel shall not count.
    layout, seed, rng_step : Tensor
        As for :func:`probe_`.
    workspace : Tensor (P, 256) float64
        Scratch.
    """
    refuse_grad("hutchinson_", trace, product, workspace)
    _hutchinson(trace, product, layout, seed, rng_step, workspace)


def probe_reference_(out: Tensor, layout: Tensor, seed: Tensor, rng_step: Tensor) -> None:
    """NumPy truth of :func:`probe_`."""
    low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    index, row, col, key, seeds = pixel_counters(layout, seed)
    last = np.full(index.shape, np.uint64((int(rng_step) << 8 | STREAM_PROBE) & 0xFFFFFFFF))
    counter = ((col >> 2).astype(np.uint64) & low, row.astype(np.uint64) & low, key.astype(np.uint64) & low, last)
    bits = seeds.astype(np.uint64)
    words = np.stack(philox_reference(counter, (bits & low, bits >> half)))
    own = words[col & 3, np.arange(index.size)]
    sign = np.where(own >> np.uint64(31), -1.0, 1.0)
    out[torch.from_numpy(index).to(out.device)] = torch.from_numpy(sign).to(out)


def hutchinson_reference_(trace: Tensor, product: Tensor, layout: Tensor, seed: Tensor, rng_step: Tensor) -> None:
    """Truth of :func:`hutchinson_`, in the dtype of `product`."""
    sign = torch.zeros_like(product)
    probe_reference_(sign, layout, seed, rng_step)
    for p, (offset, height, width, *_) in enumerate(layout.tolist()):
        here = slice(offset, offset + height * width)
        trace[p] = (sign[here] * product[here]).sum()
