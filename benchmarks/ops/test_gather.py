"""`gather`: all windows of 64 planes beside indexing in torch."""

from __future__ import annotations

import torch

from benchmarks.ops.measure import TILES, bound, checked
from gencosmo.ops.gather import gather_reference
from tests.ops.cases import copies, make_gather


def test_gather(race) -> None:
    made = make_gather(torch.Generator().manual_seed(0), TILES[:8])
    checked("gather", made)
    mine = copies(made)
    pixels = made["out"].numel()
    race("gather", bound("gather", made), {"eager": lambda: gather_reference(**mine)}, pixels, 8)
