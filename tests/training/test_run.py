"""`gencosmo.training.train`: a prior comes out, the same after a kill too; a fine-tuned one keeps its shape."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import gencosmo
from gencosmo.errors import Cancelled, InputError, UsageError
from gencosmo.image import as_image
from gencosmo.priors import load_prior
from gencosmo.priors.network import NetworkShape
from gencosmo.training import Plan, course, train
from gencosmo.training.pack import Frame, write_packed
from gencosmo.training.validation import HeldOut, split_frames

TINY = NetworkShape((8, 12), (1, 1))
QUICK = Plan(shape=TINY, tiles=16, batch=4, calibration=3, device="cpu")


def star_field(seed: int, side: int = 112) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[:side, :side]
    image = np.full((side, side), 200.0)
    for _ in range(10):
        row, col = rng.uniform(0, side, 2)
        image += rng.uniform(50, 3000) * np.exp(-((rows - row) ** 2 + (cols - col) ** 2) / 5)
    return (image + 4 * rng.standard_normal(image.shape)).astype(np.float32)


FRAMES = [star_field(seed) for seed in range(3)]


def quick(**changes: object) -> Plan:
    return Plan(**{**vars(QUICK), **changes})  # type: ignore[arg-type]


@pytest.fixture
def short_legs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(course, "LEG", 2)


def test_a_prior_comes_out_with_card_calibration_and_vector(tmp_path: Path) -> None:
    lines: list[str] = []
    image = as_image(FRAMES[0]).replace(pixel_scale=0.27)
    out = tmp_path / "own" / "mine"
    card = train([image, *FRAMES[1:]], out, quick(licence="CC0", description="Mine."), report=lines.append)
    prior = load_prior(card)
    prior.self_test()
    assert (prior.card.name, prior.card.licence, prior.card.description) == ("mine", "CC0", "Mine.")
    assert prior.card.pixel_scale == (0.27, 0.27) and prior.card.training["groups"] == {"user": 3}
    assert prior.network.shape == TINY and prior.calibration is not None
    assert card.with_suffix(".safetensors").stat().st_mode == card.stat().st_mode, "for whoever reads the card"
    assert set(prior.card.domain) == {"neighbours", "structure", "direction", "mosaic", "steps"}
    held = prior.card.training["held_out"]
    assert held["before"]["rms_over_base"] == pytest.approx(1, abs=0.2), "an untrained network returns a base"
    assert held["after"]["hidden"] == held["before"]["hidden"] > 1000
    assert "held out" in lines[0] and any("held-out rms" in line for line in lines)
    assert sorted(path.name for path in (tmp_path / "own").iterdir()) == [
        "mine.calibration.json", "mine.json", "mine.safetensors",
    ]  # fmt: skip
    holed = FRAMES[0].copy()
    holed[20:23, 20:40] = np.nan
    assert np.isfinite(gencosmo.inpaint(holed, prior=str(card)).mean).all()
    with pytest.raises(UsageError, match="exists"):
        train(FRAMES, out, QUICK)


def test_a_killed_run_ends_where_an_unbroken_one_does(tmp_path: Path, short_legs: None) -> None:
    whole = train(FRAMES, tmp_path / "whole", QUICK, report=lambda line: None)
    killed = threading.Event()

    def kill_later(line: str) -> None:
        if line.startswith("50 %"):
            killed.set()

    with pytest.raises(Cancelled, match="the leg up to step 2 is kept"):
        train(FRAMES, tmp_path / "killed", QUICK, report=kill_later, cancel=killed)
    assert (tmp_path / "killed.checkpoint.pt").exists() and not (tmp_path / "killed.json").exists()
    with pytest.raises(UsageError, match="other frames or options"):
        train(FRAMES, tmp_path / "killed", quick(seed=5))
    lines: list[str] = []
    again = train(FRAMES, tmp_path / "killed", QUICK, report=lines.append)
    assert any(line.startswith("resumed at step 2") for line in lines)
    one, other = (path.with_suffix(".safetensors").read_bytes() for path in (whole, again))
    assert one == other
    assert not (tmp_path / "killed.checkpoint.pt").exists()


def test_fine_tuning_keeps_architecture_windows_and_knowledge(tmp_path: Path) -> None:
    base = train(FRAMES, tmp_path / "base", quick(licence="MIT"), report=lambda _: None)
    new = train(FRAMES, tmp_path / "new", quick(start=base, shape=None, tiles=4), report=lambda _: None)
    old, tuned = load_prior(base), load_prior(new)
    assert tuned.network.shape == old.network.shape
    assert (tuned.card.core, tuned.card.halo, tuned.card.ramp) == (old.card.core, old.card.halo, old.card.ramp)
    assert tuned.card.training["base"]["weights_sha256"] == old.card.weights_sha256
    assert tuned.card.training["held_out"]["before"] == pytest.approx(old.card.training["held_out"]["after"], rel=0.1)
    assert "MIT" in tuned.card.licence and "base" in tuned.card.licence
    assert all(low <= old.card.domain[key][0] for key, (low, _) in tuned.card.domain.items())
    weights = [p.network.state_dict()["door.weight"] for p in (old, tuned)]
    change = float((weights[0] - weights[1]).abs().max())
    assert 0 < change < 1e-3, "one small step away from the base"


def test_a_wider_prior_begins_with_what_the_smaller_one_knew(tmp_path: Path) -> None:
    base = train(FRAMES, tmp_path / "base", quick(), report=lambda _: None)
    wide = NetworkShape((TINY.channels[0] + 4, *TINY.channels[1:]), TINY.blocks)
    new = load_prior(train(FRAMES, tmp_path / "new", quick(start=base, shape=wide, tiles=4), report=lambda _: None))
    known = load_prior(base).card.training["held_out"]["after"]
    assert new.network.shape == wide
    assert new.card.training["held_out"]["before"] == pytest.approx(known, rel=0.1)
    with pytest.raises(UsageError, match="channels"):
        train(FRAMES, tmp_path / "small", quick(start=base, shape=NetworkShape((2, 4), (1, 1))))


def test_held_out_rows_are_never_trained_on() -> None:
    train_side, held = split_frames([Frame(image, "user") for image in FRAMES])
    assert len(train_side) == len(held) == 3
    for whole, kept, back in zip(FRAMES, train_side, held, strict=True):
        assert np.array_equal(np.vstack([kept.flux, back.flux]), whole)
        assert back.flux.shape[0] == 112 // 6
    with pytest.raises(InputError, match="nothing can be held out"):
        split_frames([Frame(np.zeros((20, 20), np.float32), "user")])


def test_held_out_questions_stay_the_same() -> None:
    held = [Frame(image, "user") for image in FRAMES]
    one, other = (HeldOut(held, 64, 900.0, tiles=6) for _ in range(2))
    assert bool((one.hidden == other.hidden).all()) and bool((one.target == other.target).all())
    assert str(one.measure(load_prior("sky", "cpu").network.eval())).startswith("held-out rms ")


def test_sources_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no frame to train on"):
        train([np.zeros((10, 10), np.float32)], tmp_path / "x", QUICK)
    with pytest.raises(UsageError, match="tiles is 0"):
        Plan(tiles=0)
    with pytest.raises(UsageError, match="seed is -1"):
        Plan(seed=-1)


def test_packed_tiles_need_no_astropy(tmp_path: Path) -> None:
    """The door and `python -m gencosmo.training` on a machine without astropy."""
    write_packed(tmp_path / "a.npz", [Frame((image - 200) / 4, "stars") for image in FRAMES])
    program = (
        "import sys\nsys.modules['astropy'] = None\n"
        "from gencosmo.training import Plan, train\nfrom gencosmo.priors.network import NetworkShape\n"
        "plan = Plan(shape=NetworkShape((8, 12), (1, 1)), tiles=4, batch=4, calibration=3, device='cpu')\n"
        f"card = train([{str(tmp_path / 'a.npz')!r}], {str(tmp_path / 'p')!r}, plan)\n"
        "import gencosmo.training.__main__\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "p.json").read_text())["training"]["groups"] == {"stars": 3}
