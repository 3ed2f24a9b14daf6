"""How far an op may be from its truth: twice as far as plain float32 torch is, plus four units in the last
place.

The rule of FlashAttention's tests (Dao 2022): no tolerance is chosen, the difficulty of the input sets it.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def assert_law(got: Tensor, truth: Tensor, plain: Tensor, what: str = "") -> None:
    """Fail unless ``max|got - truth| <= 2 max|plain - truth| + 4 ulp(max|truth|)``, with equal non-finite
    values.

    Parameters
    ----------
    got : Tensor
        The op's output.
    truth : Tensor float64
        The reference's output in float64.
    plain : Tensor
        The reference's output in the op's precision.
    """
    assert got.shape == truth.shape == plain.shape, f"{what}: shapes {got.shape}, {truth.shape}, {plain.shape}"
    got64, plain64, truth = got.double(), plain.double(), truth.double()
    finite = torch.isfinite(truth)
    assert torch.equal(torch.isfinite(got64), finite), f"{what}: non-finite values at other places"
    odd = ~finite
    same = (got64[odd] == truth[odd]) | (torch.isnan(got64[odd]) & torch.isnan(truth[odd]))
    assert bool(same.all()), f"{what}: other non-finite values"
    if not bool(finite.any()):
        return
    largest = float(truth[finite].abs().max())
    ulp = float(np.spacing(np.float32(largest)))
    if got.dtype in (torch.float16, torch.bfloat16):
        ulp *= 2.0 ** (23 - (10 if got.dtype == torch.float16 else 7))
    usable = finite & torch.isfinite(plain64)
    allowed = 2 * float((plain64[usable] - truth[usable]).abs().max()) + 4 * ulp if bool(usable.any()) else 4 * ulp
    error = float((got64[finite] - truth[finite]).abs().max())
    assert error <= allowed, f"{what}: error {error:.3e}, allowed {allowed:.3e}"
