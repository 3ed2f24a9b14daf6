"""The comparator must see what is wrong."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tests.ops.law import assert_law


@pytest.fixture
def truth() -> Tensor:
    return torch.randn(6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_accepts_rounding(truth: Tensor) -> None:
    assert_law(truth.float(), truth, truth.float())


def test_accepts_equal_infinities_and_nans(truth: Tensor) -> None:
    truth[0, 0], truth[1, 1], truth[2, 2] = math.nan, math.inf, -math.inf
    assert_law(truth.float(), truth, truth.float())


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_sees_one_bad_value(truth: Tensor, value: float) -> None:
    got = truth.float()
    got[3, 4] = value
    with pytest.raises(AssertionError, match="non-finite"):
        assert_law(got, truth, truth.float())


def test_sees_a_wrong_infinity(truth: Tensor) -> None:
    truth[1, 1] = math.inf
    got = truth.float()
    got[1, 1] = -math.inf
    with pytest.raises(AssertionError, match="non-finite"):
        assert_law(got, truth, truth.float())


def test_sees_a_missing_nan(truth: Tensor) -> None:
    got = truth.float()
    truth[1, 1] = math.nan
    with pytest.raises(AssertionError, match="non-finite"):
        assert_law(got, truth, truth.float())


@pytest.mark.parametrize("wrong", [lambda t: -t, lambda t: t.T, lambda t: 1.01 * t, lambda t: t + 1e-5])
def test_sees_sign_axes_and_bias(truth: Tensor, wrong: object) -> None:
    got = wrong(truth).float()  # type: ignore[operator]
    with pytest.raises(AssertionError, match="error"):
        assert_law(got, truth, truth.float())


def test_sees_one_wrong_sign(truth: Tensor) -> None:
    got = truth.float()
    got[2, 5] *= -1
    with pytest.raises(AssertionError, match="error"):
        assert_law(got, truth, truth.float())


def test_sees_one_percent_in_bfloat16(truth: Tensor) -> None:
    with pytest.raises(AssertionError, match="error"):
        assert_law((1.1 * truth).bfloat16(), truth, truth.bfloat16())
