"""`blend`: all windows back to 64 planes beside slices in torch."""

from __future__ import annotations

import torch

from benchmarks.ops.measure import TILES, bound, checked
from gencosmo.ops.blend import blend_reference_
from tests.ops.cases import copies, make_blend


def test_blend(race) -> None:
    made = make_blend(torch.Generator().manual_seed(0), TILES[:8])
    checked("blend_", made)
    mine = copies(made)
    pixels = made["mean_w"].numel()
    race("blend", bound("blend_", made), {"eager": lambda: blend_reference_(**mine)}, pixels, 32)
