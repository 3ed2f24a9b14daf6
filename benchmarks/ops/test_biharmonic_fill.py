"""`biharmonic_fill`: eight steps of conjugate gradients in every hole beside its reference in torch."""

from __future__ import annotations

import torch

from benchmarks.ops.measure import bound, checked
from gencosmo.ops.biharmonic_fill import biharmonic_fill_reference_
from tests.ops.cases import copies, make_biharmonic


def test_biharmonic_fill(race) -> None:
    made = make_biharmonic(torch.Generator().manual_seed(0), ((256, 256),) * 4)
    checked("biharmonic_fill_", made)
    mine = {name: value for name, value in copies(made).items() if name not in ("planes", "workspace")}
    rivals = {"eager": lambda: biharmonic_fill_reference_(**mine)}
    race("biharmonic_fill", bound("biharmonic_fill_", made), rivals, made["fields"].shape[1], 8)
