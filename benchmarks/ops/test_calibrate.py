"""`calibrate_` beside indexing in torch, with a shipped calibration's edges, where no pixel is exact."""

from __future__ import annotations

import torch

from benchmarks.ops.measure import bound, checked
from gencosmo.ops.calibrate import calibrate_reference_
from tests.ops.cases import CASES, copies


def test_calibrate(race) -> None:
    checked("calibrate_", CASES["calibrate_"].arguments())
    g = torch.Generator().manual_seed(0)
    win, local = (torch.rand(64, 5, 64, 64, generator=g) + 0.1 for _ in range(2))
    made = {
        "mean": torch.rand(64, 1, 64, 64, generator=g), "var": torch.rand(64, 1, 64, 64, generator=g), "win": win,
        "local": local, "levels": torch.logspace(-1, 1, 6), "scales": torch.logspace(-1, 1, 7),
        "factors": torch.ones(8, 8), "shifts": torch.zeros(8, 8),
    }  # fmt: skip
    mine = copies(made)
    # mean and variance in and out; level, bases and their variance, spread, roughness, gate
    race("calibrate", bound("calibrate_", made), {"eager": lambda: calibrate_reference_(**mine)}, 64**3, 44)
