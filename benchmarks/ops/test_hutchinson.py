"""`probe` and `hutchinson` beside signs that torch draws and stores."""

from __future__ import annotations

import torch

from benchmarks.ops.measure import TILES, at_origin, bound, checked
from tests.ops.cases import make_hutchinson, make_probe


def test_probe(race) -> None:
    made = at_origin(make_probe(torch.Generator(), TILES))
    checked("probe_", made)
    out = torch.zeros_like(made["out"])
    rivals = {"eager": lambda: out.bernoulli_(0.5).mul_(2).sub_(1)}
    race("probe", bound("probe_", made), rivals, out.numel(), 4)


def test_hutchinson(race) -> None:
    made = at_origin(make_hutchinson(torch.Generator().manual_seed(0), TILES))
    checked("hutchinson_", made)
    product = made["product"].view(64, -1)
    sign = torch.ones_like(product)
    rivals = {"eager": lambda: (sign.bernoulli_(0.5).mul_(2).sub_(1) * product).sum(1, dtype=torch.float64)}
    race("hutchinson", bound("hutchinson_", made), rivals, product.numel(), 4)
