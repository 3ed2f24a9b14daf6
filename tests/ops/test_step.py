"""The step op beyond its truth: held pixels, batches, golden bytes, refusals."""

from __future__ import annotations

import hashlib
import math

import pytest
import torch
from torch import Tensor

from gencosmo.ops.step import step_
from tests.ops.cases import CASES, Arguments, copies

GOLDEN = "c053eedb7e9bf02b785ba1a3fe91b912477665444603a6eae724ca5bb4a78964"
"""sha256 of ``fields`` after a step of arguments that are exact in float32; the same on every machine and
device."""


def exact_arguments() -> Arguments:
    """Arguments made without random numbers or rounding, so that only the op decides the bytes."""
    n, place = 64 * 48, torch.arange(64 * 48)
    observed = torch.where(place % 5 == 0, math.inf, (place % 7) / 4.0)
    fields = torch.zeros(5, n)
    fields[0], fields[1] = (
        (place % 13) / 8.0 - 1,
        torch.where(place % 10 == 0, math.inf, observed.clamp(max=3.0)),
    )
    return {
        "fields": fields, "mean": (place % 11) / 4.0, "var": (place % 3) / 2.0, "sigma_obs": observed,
        "clock": (place % 4) / 2.0, "previous": (place % 17) / 16.0,
        "layout": torch.tensor([[0, 32, 48, 3, 5, 0], [32 * 48, 32, 48, 0, -6, 257]]),
        "seed": torch.tensor([1234567, -1]),
        "coef": torch.tensor([[0.5, 0, 0, 1, 7], [0.25, 1, 0.5, 1, 8]]), "index": torch.tensor([0, 1]),
    }  # fmt: skip


def test_golden_hash() -> None:
    arguments = exact_arguments()
    step_(**arguments)
    assert bool(torch.isfinite(arguments["fields"][0]).all())
    assert hashlib.sha256(arguments["fields"].numpy().tobytes()).hexdigest() == GOLDEN


def test_pixels_without_a_clock_or_already_lower_stay() -> None:
    arguments = exact_arguments()
    before = copies(arguments)
    step_(**arguments)
    tau = torch.tensor([0.5, 0.25]).repeat_interleave(32 * 48)
    target = torch.minimum(before["sigma_obs"], tau * before["clock"])
    stays = (before["clock"] == 0) | (target >= before["fields"][1])
    assert 0 < int(stays.sum()) < stays.numel()
    assert torch.equal(arguments["fields"][:2, stays], before["fields"][:2, stays])
    assert torch.equal(arguments["fields"][1, ~stays], target[~stays])
    assert torch.equal(arguments["fields"][2:], before["fields"][2:])


def test_one_index_serves_all_planes() -> None:
    one, each = exact_arguments(), exact_arguments()
    one["index"], each["index"] = torch.tensor([1]), torch.tensor([1, 1])
    step_(**one)
    step_(**each)
    assert torch.equal(one["fields"], each["fields"])


def test_planes_do_not_depend_on_their_batch_or_order() -> None:
    together = CASES["step_"].arguments()
    alone = copies(together)
    step_(**together)
    order = torch.randperm(len(alone["layout"]), generator=torch.Generator().manual_seed(3)).tolist()
    for p in order:
        part = {k: v[p : p + 1] if k in ("layout", "seed", "index") else v for k, v in alone.items()}
        step_(**part)
    assert torch.equal(together["fields"], alone["fields"])
    assert torch.equal(together["previous"], alone["previous"])


@pytest.mark.parametrize("index", [-1, 3, 1 << 40])
def test_row_outside_the_table(index: int) -> None:
    arguments = CASES["step_"].arguments()
    arguments["index"] = torch.tensor([index])
    with pytest.raises(ValueError, match=f"argument 'index' expected rows 0 to 2, got {index}"):
        step_(**arguments)


def test_nan_stays_in_its_pixel() -> None:
    clean, dirty = exact_arguments(), exact_arguments()
    moving = (clean["clock"] > 0) & (clean["fields"][1] > 1)
    pixel = int(torch.nonzero(moving)[40])
    dirty["mean"][pixel] = math.nan
    step_(**clean)
    step_(**dirty)
    same: Tensor = clean["fields"][0] == dirty["fields"][0]
    assert bool(torch.isnan(dirty["fields"][0, pixel]))
    assert int((~same).sum()) == 1
