"""The promise of `docs/training.md`: fine-tuning on one instrument's frames helps on frames that were held back."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from gencosmo.priors import load_prior
from gencosmo.training import Plan, train
from gencosmo.training.pack import Frame

ROOT = Path(__file__).parents[2]


def grainy(seed: int, side: int = 128) -> Frame:
    """An instrument of its own: noise that runs along diagonals, which no classical filler knows."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((side + 3, side + 3))
    image = sum(noise[k : k + side, k : k + side] for k in range(4)) / 2
    return Frame(np.asarray(image, np.float32), "grain")


def test_a_short_run_helps_on_held_back_frames(tmp_path: Path) -> None:
    from benchmarks.fine_tune import compare

    plan = Plan(start="sky", tiles=400, batch=8, rate=1e-3, real_share=0.9, calibration=3, device="cpu")
    card = train([grainy(seed) for seed in range(8)], tmp_path / "mine", plan, report=lambda _: None)
    table = compare(load_prior("sky", "cpu"), load_prior(card, "cpu"), [grainy(100).flux, grainy(101).flux])
    ratios = [row["rms_ratio"] for row in table.values()]
    assert np.median(ratios) < 0.97, table
    held = load_prior(card).card.training["held_out"]
    assert held["after"]["rms_over_base"] < held["before"]["rms_over_base"]


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("GENCOSMO_TEST_DATA"), reason="GENCOSMO_TEST_DATA is not set")
def test_a_short_run_helps_a_real_instrument(tmp_path: Path) -> None:
    """A minute's worth of what `python -m benchmarks.fine_tune` does in ten."""
    from benchmarks.fine_tune import compare, crops, group_frames, hold_back

    learn, back = hold_back(group_frames("profit_kids"))
    plan = Plan(start="sky", tiles=720, rate=1e-3, calibration=3, device="cpu")
    card = train(learn, tmp_path / "kids", plan, report=lambda _: None)
    table = compare(load_prior("sky", "cpu"), load_prior(card, "cpu"), crops(back, 4))
    assert np.median([row["rms_ratio"] for row in table.values()]) < 1, table


def test_the_guide_names_real_commands() -> None:
    text = (ROOT / "docs/training.md").read_text()
    for word in ("gencosmo validate", "gencosmo train", "benchmarks.fine_tune", "benchmarks.quality.domain"):
        assert word in text
