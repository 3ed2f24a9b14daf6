"""`predictive_score` of all families beside torch, maps and sums."""

from __future__ import annotations

import pytest
import torch

from benchmarks.ops.measure import bound, checked
from gencosmo.ops.predictive_score import FAMILIES, predictive_score_reference, score_sums_shape
from tests.ops.cases import copies, make_score


@pytest.mark.parametrize("family", FAMILIES)
def test_predictive_score(race, family: str) -> None:
    made = make_score(torch.Generator().manual_seed(0), ((64, 64),), family)
    checked("predictive_score", made)
    for name in ("value", "mean", "var", "ivar", "z", "log_prob"):
        made[name] = made[name].nan_to_num().repeat(32, 1, 1)
    made.update(tile=64, sums=torch.zeros(score_sums_shape(64, 64, 64, 64), dtype=torch.float64))
    mine = copies(made)
    rivals = {"eager": lambda: predictive_score_reference(**mine)}
    race(f"predictive_score, {family}", bound("predictive_score", made), rivals, made["value"].numel(), 24)
