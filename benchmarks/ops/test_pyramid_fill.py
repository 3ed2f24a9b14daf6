"""`pyramid_fill`: value and variance of all pixels beside its reference in torch."""

from __future__ import annotations

import torch

from benchmarks.ops.measure import bound, checked
from gencosmo.ops.pyramid_fill import pyramid_fill_reference_
from tests.ops.cases import copies, make_pyramid


def test_pyramid_fill(race) -> None:
    made = make_pyramid(torch.Generator().manual_seed(0), ((256, 256),) * 4)
    checked("pyramid_fill_", made)
    mine = {name: value for name, value in copies(made).items() if name not in ("workspace",)}
    rivals = {"eager": lambda: pyramid_fill_reference_(**mine)}
    race("pyramid_fill", bound("pyramid_fill_", made), rivals, made["fields"].shape[1], 16)
