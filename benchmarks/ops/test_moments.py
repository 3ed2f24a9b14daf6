"""`moments` beside the same four lines of torch."""

from __future__ import annotations

import torch

from benchmarks.ops.measure import TILES, bound, checked
from gencosmo.ops.moments import moments_reference_
from tests.ops.cases import copies, make_moments


def test_moments(race) -> None:
    made = make_moments(torch.Generator().manual_seed(0), TILES)
    checked("moments_", made)
    mine = copies(made)
    race("moments", bound("moments_", made), {"eager": lambda: moments_reference_(**mine)}, made["mean"].numel(), 20)
