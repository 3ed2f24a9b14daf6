"""`normal`: a million numbers of our own counters beside torch's generator."""

from __future__ import annotations

import torch

from benchmarks.ops.measure import TILES, at_origin, bound, checked
from tests.ops.cases import make_normal


def test_normal(race) -> None:
    made = at_origin(make_normal(torch.Generator(), TILES))
    checked("normal_", made)
    out = torch.zeros_like(made["out"])
    race("normal", bound("normal_", made), {"eager": out.normal_}, out.numel(), 4)
