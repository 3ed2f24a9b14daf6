"""`kriging_fill`: a linear system for every hidden pixel beside its reference in NumPy."""

from __future__ import annotations

import torch

from benchmarks.ops.measure import bound, checked
from gencosmo.ops.kriging_fill import kriging_fill_reference_
from tests.ops.cases import copies, make_kriging


def test_kriging_fill(race) -> None:
    made = make_kriging(torch.Generator().manual_seed(0), ((64, 64),))
    checked("kriging_fill_", made)
    unused = ("blocks", "offsets", "shapes", "weights", "workspace")
    mine = {name: value for name, value in copies(made).items() if name not in unused}
    rivals = {"eager": lambda: kriging_fill_reference_(**mine)}
    race("kriging_fill", bound("kriging_fill_", made), rivals, made["fields"].shape[1], 8)
