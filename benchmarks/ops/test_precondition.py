"""`precondition`: windows to features beside its reference in torch."""

from __future__ import annotations

import torch

from benchmarks.ops.measure import bound, checked
from gencosmo.ops.precondition import FEATURES, LOCALS, precondition_reference
from tests.ops.cases import make_precondition


def test_precondition(race) -> None:
    made = make_precondition(torch.Generator().manual_seed(0), ((64, 64),) * 4)
    checked("precondition", made)
    win = made["win"]
    rivals = {"eager": lambda: precondition_reference(win, made["world"], made["prior_var"])}
    pixels = win[:, 0].numel()
    race("precondition", bound("precondition", made), rivals, pixels, 4 * (5 + FEATURES + LOCALS))
