"""`precondition`: windows to features beside its reference in torch."""

from __future__ import annotations

import torch

from benchmarks.ops.measure import bound, checked
from gencosmo.ops.precondition import FEATURES, LOCALS, precondition_reference
from tests.ops.cases import make_precondition


def test_precondition(race) -> None:
    checked("precondition", make_precondition(torch.Generator().manual_seed(0), ((64, 64),) * 4))
    g = torch.Generator().manual_seed(0)
    win = torch.rand(8, 5, 128, 128, generator=g) + 0.1  # windows of the size that the sampler uses
    features = torch.zeros(8, FEATURES, 128, 128).to(memory_format=torch.channels_last)
    made = {"win": win, "world": torch.zeros(8), "prior_var": 100.0, "features": features}
    made["local"] = torch.zeros(8, LOCALS, 128, 128)
    rivals = {"eager": lambda: precondition_reference(win, made["world"], made["prior_var"])}
    pixels = win[:, 0].numel()
    race("precondition", bound("precondition", made), rivals, pixels, 4 * (5 + FEATURES + LOCALS))
